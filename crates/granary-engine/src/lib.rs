//! What happens between a request and the store: bulk requests are split, checked and spooled ([`Engine::bulk`]),
//! single writes and definitions are checked and written, and workers carry out what was accepted, lane by lane.
//! Knows nothing of HTTP, and of the store only its trait.

mod bundle;
mod check;
mod clock;
mod codes;
mod definitions;
mod disk;
mod drain;
mod engine;
mod error;
mod expected;
mod export;
mod figures;
mod import;
mod intake;
mod keys;
mod lanes;
mod once;
mod part;
mod purge;
mod random;
mod rejection;
mod retention;
mod retry;
mod schemas;
mod scratch;
mod sent;
mod single;
mod space;
pub mod split;
mod terminology;
pub mod told;
mod wait;

pub use bundle::{Bundle, BundleMode, BundleOperation, BundleReceipt};
pub use clock::{Clock, HandClock, SystemClock};
pub use definitions::Defined;
pub use disk::Disk;
pub use engine::{Engine, EngineOptions, InFlight};
pub use error::error_object;
pub use expected::{Expected, tag_of_definition, tag_of_record};
pub use export::Export;
pub use figures::Figures;
pub use import::{Import, ImportLine, SentDefinition};
pub use intake::{BodyError, BodyFormat, BulkRequest, CsvFormat, Intake};
pub use keys::{NewKey, create_key};
pub use once::Once;
pub use purge::Purging;
pub use rejection::{ReceiptsShown, Rejection};
pub use retry::Retry;
pub use schemas::CompiledSchema;
pub use sent::{OPERATIONS_PAGE, Sent, SentOperations, write_operation};
pub use single::{Change, PartChange, Persisted, SingleWrite, WriteOutcome};
pub use terminology::{TerminologyBulk, TerminologyReceipt};
pub use wait::WatchPlace;
