//! From what was learned to a profile, with the reason of each choice.

use std::fmt::Write;

use granary_core::keys::Key;
use granary_core::profile::complex::ComplexType;
use granary_core::profile::types::{TypeShape, type_named};

use super::node::{Kind, Node};
use super::texts::{Choice, Form, Spot, Texts};
use crate::output::count;

/// A list of choices is proposed where each came so often on average.
const CHOICE_OFTEN: u64 = 5;
/// A choice came at least so often: what came once may be a slip.
const CHOICE_LEAST: u64 = 2;
/// A choice of more words than this is a sentence.
const CHOICE_WORDS_MAX: usize = 5;
/// A type is proposed where at most one of so many values does not fit it, ...
const MISFIT_ONE_OF: u64 = 100;
/// ... and at least so many do.
const FITTING_FROM: u64 = 20;
/// So many values that all differ may well be identifiers.
const UNIQUE_FROM: u64 = 20;
/// Complex types that objects may be, the narrower ones first, with what must be among their members.
const COMPLEX: [(&str, &[&str]); 8] = [
    ("geopoint", &["latitude", "longitude"]),
    ("period", &["start", "end"]),
    ("contactpoint", &["system", "value"]),
    ("identifier", &["system", "value"]),
    ("coding", &["code"]),
    ("humanname", &["family", "given"]),
    ("address", &["city", "postalCode", "country", "line", "state"]),
    ("attachment", &["contentType", "url"]),
];
/// What the `system` of a contact point is.
const CONTACT_SYSTEMS: [&str; 7] = ["phone", "fax", "email", "pager", "url", "sms", "other"];

/// Why something is as it is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    /// The property, as a dotted path.
    pub(super) path: String,
    /// Its type, or nothing where it has none.
    pub(super) of_type: String,
    /// Why.
    pub(super) why: String,
    /// True where a person has to look.
    pub(super) warns: bool,
}

/// Proposes properties.
#[derive(Default)]
pub(super) struct Proposal {
    pub(super) reasons: Vec<Reason>,
    /// True where values are texts that say what they are: of CSV.
    pub(super) cells: bool,
    /// The names of the files that the data is in.
    pub(super) files: Vec<String>,
}

impl Proposal {
    /// The `properties` of an object, as JSON; `objects` is how many there were.
    pub(super) fn properties(&mut self, node: &Node, path: &str) -> String {
        let objects = node.count(Kind::Object);
        let mut members = Vec::new();
        for (name, member) in &node.members {
            let path = match path {
                "" => name.clone(),
                _ => format!("{path}.{name}"),
            };
            if let Err(bad) = Key::parse(name) {
                self.warn(&path, format!("left out: {bad}"));
                continue;
            }
            match self.property(member, &path, Some(objects)) {
                Some(json) => members.push(format!("{}:{json}", quoted(name))),
                None => self.warn(&path, "left out: it is null wherever it is".to_owned()),
            }
        }
        if node.cut {
            let why = "some names are left out: there are more than a definition may have, or they are too deep; are they the \
                       keys of a map?";
            self.warn(path, why.to_owned());
        }
        format!("{{{}}}", members.join(","))
    }

    /// A property; `of` is how many objects could have it, `None` for the elements of an array.
    fn property(&mut self, node: &Node, path: &str, of: Option<u64>) -> Option<String> {
        let seen = node.seen();
        if seen == 0 {
            return None;
        }
        let (kind, others) = main_kind(node);
        if others {
            let found = Kind::ALL.iter().filter(|kind| node.count(**kind) > 0);
            let found: Vec<String> = found
                .map(|kind| format!("{} {} times", kind.noun(), node.count(*kind)))
                .collect();
            let why = format!(
                "its values are of several kinds, and the data does not pass: {}",
                found.join(", ")
            );
            self.warn(path, why);
        }
        let place = self.reasons.len();
        let mut rules = Vec::new();
        let mut why = Vec::new();
        let (name, rest) = match kind {
            Kind::Text => self.text(node, path, &mut rules, &mut why),
            Kind::Number => (number(node, &mut why), String::new()),
            Kind::Boolean => ("boolean", String::new()),
            Kind::Object => self.object(node, path, &mut why),
            Kind::Array => self.array(node, path, &mut why),
        };
        match of {
            Some(of) if seen == of => {
                rules.insert(0, r#"{"required":true}"#.to_owned());
                why.push(format!("required: it is in all {}", count(of)));
            }
            Some(of) => why.push(format!("in {} of {}", count(seen), count(of))),
            None => {}
        }
        let reason = Reason {
            path: path.to_owned(),
            of_type: name.to_owned(),
            why: why.join("; "),
            warns: false,
        };
        self.reasons.insert(place, reason);
        let mut json = format!("{{\"type\":\"{name}\"{rest}");
        if !rules.is_empty() {
            let _ = write!(json, ",\"rules\":[{}]", rules.join(","));
        }
        json.push('}');
        Some(json)
    }

    fn text(
        &self,
        node: &Node,
        path: &str,
        rules: &mut Vec<String>,
        why: &mut Vec<String>,
    ) -> (&'static str, String) {
        let Some(texts) = &node.texts else {
            return ("symbol", String::new());
        };
        let forms = texts.forms;
        let total = node.count(Kind::Text);
        if let Some(form) = self.form_of(texts, total) {
            let (name, what) = form.told();
            why.push(self.fits_form(texts, form, total));
            if !texts.all(form) {
                why.push(format!("correct those that are no {what}, or make it a symbol"));
            }
            return (name, String::new());
        }
        let mut all = |name: &'static str, what: &str| {
            why.push(format!("all are {what}"));
            (name, String::new())
        };
        if forms.url {
            return all("url", "URLs");
        }
        if forms.urn && forms.uri {
            return all("uri", "URIs");
        }
        let choices = texts.choices.as_deref();
        let choices = choices.filter(|choices| total >= choices.len() as u64 * CHOICE_OFTEN);
        let rare = choices.and_then(|choices| choices.iter().find(|choice| choice.count < CHOICE_LEAST));
        if let Some(Choice { text, first, .. }) = rare {
            why.push(format!(
                "no enum: {} came once ({})",
                in_quotes(text),
                self.place(*first)
            ));
        } else if let Some(choices) = choices.filter(|choices| !choices.iter().any(is_sentence)) {
            let name = if forms.code { "code" } else { "symbol" };
            let mut list: Vec<String> = choices.iter().map(|choice| quoted(&choice.text)).collect();
            list.sort_unstable();
            rules.push(format!("{{\"enum\":[{}]}}", list.join(",")));
            why.push(format!(
                "enum: {} in {} values",
                counted(choices.len(), "different text"),
                count(total)
            ));
            return (name, String::new());
        }
        if texts.unique() && node.count(Kind::Text) >= UNIQUE_FROM && !path.contains(['.', '[']) {
            let of = if texts.unique_in_part {
                "the first 10,000"
            } else {
                "all"
            };
            why.push(format!("an identifier? {of} differ"));
        }
        if texts.all(Form::Integer) || texts.all(Form::Decimal) {
            why.push("numbers written as text: kept as text".to_owned());
        } else if let Some(form) = self.half_of(texts, total) {
            // Numbers and something else are no codes.
            why.push(self.fits_form(texts, form, total));
            return ("symbol", String::new());
        }
        match forms.code && forms.capitals {
            true => ("code", String::new()),
            false => ("symbol", String::new()),
        }
    }

    /// The form that all texts have, or nearly all: the rest are slips, which no type takes.
    fn form_of(&self, texts: &Texts, total: u64) -> Option<Form> {
        let few = |misfits: u64| {
            misfits == 0 || (misfits <= total / MISFIT_ONE_OF && total - misfits >= FITTING_FROM)
        };
        let integers = texts.misfits(Form::Integer).count;
        let fits = |form: &Form| {
            let misfits = texts.misfits(*form).count;
            // Four digits are a year to a date, and a number, a code or a postal code to most.
            let year = matches!(form, Form::Date | Form::Datetime) && integers <= misfits;
            (self.cells || !form.of_cells()) && !year && few(misfits)
        };
        let forms = Form::ALL.into_iter().filter(fits);
        forms.min_by_key(|form| texts.misfits(*form).count)
    }

    /// The form that half of the texts have, which says something of the others.
    fn half_of(&self, texts: &Texts, total: u64) -> Option<Form> {
        let is_half = |form: &Form| {
            let misfits = texts.misfits(*form).count;
            total >= FITTING_FROM && misfits <= total / 2 && (self.cells || !form.of_cells())
        };
        let forms = Form::ALL.into_iter().filter(is_half);
        forms.min_by_key(|form| texts.misfits(*form).count)
    }

    /// How many of the texts have the form, and the first that does not.
    fn fits_form(&self, texts: &Texts, form: Form, total: u64) -> String {
        let (_, what) = form.told();
        let misfits = texts.misfits(form);
        let Some((first, at)) = &misfits.first else {
            return format!("all are {what}");
        };
        let more = if misfits.count > 1 { ", …" } else { "" };
        let fitting = count(total.saturating_sub(misfits.count));
        format!(
            "{fitting} of {} are {what}; not {} ({}){more}",
            count(total),
            in_quotes(first),
            self.place(*at)
        )
    }

    fn place(&self, at: Spot) -> String {
        match self.files.get(at.file) {
            Some(file) if self.files.len() > 1 => format!("{file}, line {}", at.line),
            _ => format!("line {}", at.line),
        }
    }

    fn object(&mut self, node: &Node, path: &str, why: &mut Vec<String>) -> (&'static str, String) {
        if let Some(complex) = complex_type(node) {
            let found: Vec<&str> = node.members.iter().map(|(name, _)| name.as_str()).collect();
            why.push(format!("it has {} alone", found.join(", ")));
            return (complex, String::new());
        }
        let properties = self.properties(node, path);
        ("object", format!(",\"properties\":{properties}"))
    }

    fn array(&mut self, node: &Node, path: &str, why: &mut Vec<String>) -> (&'static str, String) {
        if node.null_elements {
            let what = "it has null elements, and the data does not pass: leave them out".to_owned();
            self.warn(path, what);
        }
        let items = node.element.as_deref();
        let items = items.and_then(|element| self.property(element, &format!("{path}[]"), None));
        let items = items.unwrap_or_else(|| {
            why.push("of what, is not told by empty ones: symbol is a guess".to_owned());
            r#"{"type":"symbol"}"#.to_owned()
        });
        ("array", format!(",\"items\":{items}"))
    }

    pub(super) fn warn(&mut self, path: &str, why: String) {
        self.reasons.push(Reason {
            path: path.to_owned(),
            of_type: String::new(),
            why,
            warns: true,
        });
    }
}

/// The kind of most values, and whether there are others.
fn main_kind(node: &Node) -> (Kind, bool) {
    let found = Kind::ALL.iter().filter(|kind| node.count(**kind) > 0);
    let others = found.count() > 1;
    let most = Kind::ALL.into_iter().max_by_key(|kind| node.count(*kind));
    (most.unwrap_or(Kind::Text), others)
}

fn number(node: &Node, why: &mut Vec<String>) -> &'static str {
    let Some(numbers) = node.numbers else {
        return "decimal";
    };
    let (least, most) = (numbers.least, numbers.most);
    if numbers.integer {
        why.push(format!("whole numbers from {least} to {most}"));
        return "integer";
    }
    why.push(format!("numbers from {least} to {most}"));
    if !numbers.decimal {
        why.push("some have more digits than a decimal holds, and do not pass".to_owned());
    }
    "decimal"
}

/// The complex type that all objects fit.
fn complex_type(node: &Node) -> Option<&'static str> {
    let fits_type = |(name, members): &(&'static str, &[&str])| {
        let Some(TypeShape::Complex(complex)) = type_named(name) else {
            return false;
        };
        let has = |member: &str| node.member(member).is_some_and(|member| member.seen() > 0);
        // An address has some of what addresses have, the others all that tells them.
        let told = match *name {
            "address" => members.iter().filter(|member| has(member)).count() >= 2,
            "humanname" | "period" => members.iter().any(|member| has(member)),
            _ => members.iter().all(|member| has(member)),
        };
        let own = match *name {
            "contactpoint" => contact_systems(node),
            "coding" => has("system") || has("display"),
            _ => true,
        };
        told && own && fits(node, complex)
    };
    COMPLEX.iter().find(|row| fits_type(row)).map(|(name, _)| *name)
}

fn contact_systems(node: &Node) -> bool {
    let texts = node.member("system").and_then(|system| system.texts.as_ref());
    let choices = texts.and_then(|texts| texts.choices.as_ref());
    choices.is_some_and(|choices| {
        let known = |choice: &Choice| CONTACT_SYSTEMS.contains(&choice.text.as_str());
        choices.iter().all(known)
    })
}

/// True where objects with these members are values of the type.
fn fits(node: &Node, complex: &'static ComplexType) -> bool {
    let objects = node.count(Kind::Object);
    let known = |name: &str| complex.own_fields().find(|field| field.name == name);
    let member_fits = |(name, member): &(String, Node)| {
        known(name)
            .is_some_and(|field| member.seen() == 0 || fits_shape(member, field.shape(), field.item_shape()))
    };
    let required = |name: &str| node.member(name).is_some_and(|member| member.seen() == objects);
    let within = |name: &str, most: f64| {
        let numbers = node.member(name).and_then(|member| member.numbers);
        numbers.is_none_or(|numbers| numbers.least >= -most && numbers.most <= most)
    };
    !node.cut
        && (complex.name != "geopoint" || (within("latitude", 90.0) && within("longitude", 180.0)))
        && (complex.name != "period" || node.in_order)
        && node.members.iter().all(member_fits)
        && complex
            .own_fields()
            .filter(|field| field.is_required())
            .all(|field| required(field.name))
}

fn fits_shape(node: &Node, shape: TypeShape, item: TypeShape) -> bool {
    let only = |kind| node.count(kind) == node.seen();
    let numbers = |integer: bool| {
        let fits = |numbers: super::node::Numbers| if integer { numbers.integer } else { numbers.decimal };
        only(Kind::Number) && node.numbers.is_some_and(fits)
    };
    match shape {
        TypeShape::Text(text) => {
            let Some(texts) = node.texts.as_ref().filter(|_| only(Kind::Text)) else {
                return false;
            };
            match (text.name, text.form) {
                ("symbol", None) => text.names.is_none(),
                ("code", _) => texts.forms.code,
                ("uri", _) => texts.forms.uri,
                ("url", _) => texts.forms.url,
                ("datetime", _) => texts.all(Form::Datetime),
                _ => false,
            }
        }
        TypeShape::Boolean => only(Kind::Boolean),
        TypeShape::Integer => numbers(true) && node.numbers.is_some_and(|numbers| numbers.least >= 1.0),
        TypeShape::Decimal => numbers(false),
        TypeShape::Array => {
            let element = node.element.as_deref();
            only(Kind::Array)
                && !node.null_elements
                && element.is_some_and(|element| element.seen() == 0 || fits_shape(element, item, item))
        }
        TypeShape::Complex(complex) => only(Kind::Object) && fits(node, complex),
        TypeShape::Object => false,
    }
}

/// True where a text is written for people, and comes often by chance.
fn is_sentence(choice: &Choice) -> bool {
    let text = choice.text.trim_end();
    let ends = text.ends_with(['.', '!', '?']) && text.contains(' ');
    ends || text.contains(". ") || text.split_whitespace().count() > CHOICE_WORDS_MAX
}

fn in_quotes(text: &str) -> String {
    format!("'{}'", text.escape_debug())
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn counted(number: usize, noun: &str) -> String {
    crate::output::counted(number as u64, noun)
}
