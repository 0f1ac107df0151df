//! `/` and `/console/…`: the console, a page that speaks the same calls as everybody else. Its files are those of the
//! folder `console`.

use granary_core::error::ErrorObject;

use crate::assets::{Asset, HTML, PICTURE, SCRIPT, STYLE};
use crate::conditions::Conditions;
use crate::reply::Reply;
use crate::request::{Path, shortened};

macro_rules! assets {
    ($($media_type:ident $path:literal)+) => {
        &[$(Asset {
            path: $path,
            media_type: $media_type,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../console/", $path)),
        }),+]
    };
}

/// The page, and what it loads.
const ASSETS: &[Asset] = assets! {
    HTML "index.html"
    PICTURE "icon.svg"
    STYLE "css/base.css"
    STYLE "css/views.css"
    SCRIPT "js/theme.js"
    SCRIPT "js/main.js"
    SCRIPT "js/api.js"
    SCRIPT "js/streams.js"
    SCRIPT "js/dom.js"
    SCRIPT "js/parts.js"
    SCRIPT "js/router.js"
    SCRIPT "js/json.js"
    SCRIPT "js/marks.js"
    SCRIPT "js/reasons.js"
    SCRIPT "js/chart.js"
    SCRIPT "js/graph.js"
    SCRIPT "js/files.js"
    SCRIPT "js/csv.js"
    SCRIPT "js/count.js"
    SCRIPT "js/views/overview.js"
    SCRIPT "js/views/source.js"
    SCRIPT "js/views/definition.js"
    SCRIPT "js/views/editor.js"
    SCRIPT "js/views/data.js"
    SCRIPT "js/views/record.js"
    SCRIPT "js/views/edges.js"
    SCRIPT "js/views/tasks.js"
    SCRIPT "js/views/task.js"
    SCRIPT "js/views/failures.js"
    SCRIPT "js/views/upload.js"
    SCRIPT "js/views/checked.js"
};

/// The page.
pub(crate) async fn page(conditions: Conditions) -> Reply {
    answer("index.html", conditions)
}

/// What the page loads.
pub(crate) async fn file(Path(path): Path<String>, conditions: Conditions) -> Reply {
    answer(&path, conditions)
}

fn answer(path: &str, conditions: Conditions) -> Reply {
    match Asset::find(ASSETS, path) {
        Some(asset) => asset.answer(conditions),
        None => {
            let message = format!("the console has no file '{}'", shortened(path));
            Err(ErrorObject::not_found(message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, under: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{under}{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true if name == "tests" => {}
                true => files(&entry.path(), &format!("{name}/"), found),
                false => assert!(found.insert(name)),
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_has_a_tag_of_its_own() {
        let mut found = BTreeSet::new();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../console");
        files(Path::new(folder), "", &mut found);
        let served: BTreeSet<String> = ASSETS.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(served, found);
        let tags: BTreeSet<String> = ASSETS.iter().map(Asset::tag).collect();
        assert_eq!(tags.len(), ASSETS.len());
    }

    #[test]
    fn the_type_of_a_file_is_that_of_its_name() {
        for Asset { path, media_type, .. } in ASSETS {
            let expected = match path.rsplit_once('.').unwrap().1 {
                "html" => HTML,
                "css" => STYLE,
                "js" => SCRIPT,
                "svg" => PICTURE,
                other => panic!("{other}"),
            };
            assert_eq!(*media_type, expected, "{path}");
        }
    }

    /// Contents of records are text. The browser is told so as well (`require-trusted-types-for`).
    #[test]
    fn nothing_in_the_console_turns_text_into_markup_or_code() {
        for Asset { path, text, .. } in ASSETS.iter().filter(|file| file.media_type == SCRIPT) {
            for sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "setAttribute('style'",
                "DOMParser",
                "createContextualFragment",
            ] {
                assert!(!text.contains(sink), "{path}: {sink}");
            }
        }
    }
}
