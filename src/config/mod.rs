//! What the user asked for, resolved once into numbers.

/// Everything a run needs, resolved. Cheap to clone; nothing in it is parsed again.
#[derive(Clone, Debug, Default)]
pub struct Plan {}
