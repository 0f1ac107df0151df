//! The cells of one row (RFC 4180).

/// The cells of one row, one after the other in one text. Used again for row after row, it allocates nothing.
#[derive(Debug, Default)]
pub struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    /// Takes in the cells of `row`, which comes without its line break. The error says what is wrong with its quotes, and
    /// in which cell, counted from 0.
    pub fn read(&mut self, row: &str) -> Result<(), (usize, &'static str)> {
        self.text.clear();
        self.ends.clear();
        let mut rest = Some(row);
        while let Some(cell) = rest {
            rest = match cell.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted),
                None => self.plain(cell),
            }
            .map_err(|why| (self.ends.len(), why))?;
            self.ends.push(self.text.len());
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True before a row was taken in: a row has one cell at least.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The cell at this place; nothing past the last.
    pub fn get(&self, place: usize) -> &str {
        let Some(end) = self.ends.get(place) else {
            return "";
        };
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..*end]
    }

    /// Each of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| self.get(place))
    }

    /// Takes in a cell, and answers what follows its comma; `None` at the end of the row.
    fn plain<'r>(&mut self, cell: &'r str) -> Result<Option<&'r str>, &'static str> {
        let (own, after) = match cell.split_once(',') {
            Some((own, after)) => (own, Some(after)),
            None => (cell, None),
        };
        if own.contains('"') {
            return Err("has a quote inside; put the cell in quotes and write the quote twice");
        }
        self.text.push_str(own);
        Ok(after)
    }

    /// The same for a cell after its opening quote.
    fn quoted<'r>(&mut self, mut cell: &'r str) -> Result<Option<&'r str>, &'static str> {
        loop {
            let Some((own, after)) = cell.split_once('"') else {
                return Err("opens a quote that is not closed");
            };
            self.text.push_str(own);
            if after.is_empty() {
                return Ok(None);
            }
            if let Some(after) = after.strip_prefix(',') {
                return Ok(Some(after));
            }
            let Some(after) = after.strip_prefix('"') else {
                return Err("goes on after its closing quote; a quote inside is written twice");
            };
            self.text.push('"');
            cell = after;
        }
    }
}
