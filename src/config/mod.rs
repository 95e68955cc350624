//! What the user asked for, resolved once into numbers.
