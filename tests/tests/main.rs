//! Granary seen from outside.

mod crash;
