//! IPFIX Information Elements as constants, generated from `iana.csv` and `sixtap.csv`. No dependencies.
