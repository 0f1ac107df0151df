//! Finds the end of one operation after another in a body of any length, without building the document.
