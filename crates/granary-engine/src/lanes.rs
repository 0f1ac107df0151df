//! The workers: they carry out what was accepted, lane by lane, and share their time fairly among the sources.
