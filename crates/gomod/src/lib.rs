//! gomod
