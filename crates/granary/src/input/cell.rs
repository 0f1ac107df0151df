//! Where in a cell of CSV a reader is, as the server follows it, so that rows end here where they end there.

/// The place in a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cell {
    /// Before its first byte.
    #[default]
    Start,
    /// In one without quotes around it. A quote inside it is a fault, and opens nothing.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote between quotes: it closes the cell, or is the first of two.
    Quote,
}

impl Cell {
    /// The place behind `byte`. A comma and a line break that are not quoted end a cell.
    pub(super) const fn after(self, byte: u8) -> Self {
        self.after_in(byte, b',')
    }

    /// The same where cells are separated by `delimiter`.
    pub(super) const fn after_in(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::Start | Self::Quote, b'"') => Self::Quoted,
            (_, b'\n') => Self::Start,
            _ if byte == delimiter => Self::Start,
            _ => Self::Plain,
        }
    }

    /// True where the next byte is part of the cell, whatever it is.
    pub(super) const fn quoted(self) -> bool {
        matches!(self, Self::Quoted)
    }
}
