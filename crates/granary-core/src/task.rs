//! Tasks: what a client sees of work that was accepted (contract, section 7).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ksuid::Ksuid;
use crate::operation::TargetType;
use crate::receipt::ReceiptStatus;
use crate::time::Timestamp;

/// What a task is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskKind {
    /// The operations of one bulk request.
    Bulk,
    /// One single write.
    Single,
    /// A bundle.
    Bundle,
    /// The deletion of every record of a type.
    Purge,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Bulk, Self::Single, Self::Bundle, Self::Purge];

    /// What the id of a task of this kind starts with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Bulk => "bk_",
            Self::Single => "s_",
            Self::Bundle => "bd_",
            Self::Purge => "pg_",
        }
    }
}

/// The id of a task: the prefix of its kind and a KSUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    /// The kind, told by the prefix.
    pub kind: TaskKind,
    /// The rest.
    pub ksuid: Ksuid,
}

impl TaskId {
    /// The id that `raw` spells, which must have its prefix.
    pub fn parse(raw: &str) -> Option<Self> {
        TaskKind::ALL.into_iter().find_map(|kind| {
            let ksuid = Ksuid::parse(raw.strip_prefix(kind.prefix())?)?;
            Some(Self { kind, ksuid })
        })
    }

    /// The part that names a task: what `raw` spells with or without a prefix (contract, section 4).
    pub fn parse_reference(raw: &str) -> Option<Ksuid> {
        Self::parse(raw).map(|id| id.ksuid).or_else(|| Ksuid::parse(raw))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.prefix(), self.ksuid)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for TaskId {
    type Error = &'static str;
    fn try_from(raw: String) -> Result<Self, Self::Error> {
        Self::parse(&raw).ok_or("not a task id")
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> String {
        id.to_string()
    }
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskStatus {
    /// Waiting, or being worked on.
    Pending,
    /// Cancelled.
    Cancelled,
    /// The task itself could not be carried out.
    Failure,
    /// Finished, whatever became of its operations.
    Success,
}

/// How many of a finished task's operations succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// All of them.
    Complete,
    /// Some of them.
    Partial,
    /// None of them.
    None,
}

/// The operations of a task by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All operations.
    pub total: u64,
    /// Applied.
    pub success: u64,
    /// Failed.
    pub failure: u64,
    /// Not yet reached.
    pub pending: u64,
    /// Never to be applied.
    pub cancelled: u64,
}

impl Counts {
    /// Operations that became this.
    pub fn of(&self, status: ReceiptStatus) -> u64 {
        match status {
            ReceiptStatus::Success => self.success,
            ReceiptStatus::Failure => self.failure,
            ReceiptStatus::Pending => self.pending,
            ReceiptStatus::Cancelled => self.cancelled,
        }
    }
}

/// A task at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What its operations are on; `None` for a bundle, which mixes both.
    pub target_type: Option<TargetType>,
    /// How far it is.
    pub status: TaskStatus,
    /// What became of its operations so far.
    pub counts: Counts,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first operation was taken up.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What a purge has deleted so far; `None` for a task of another kind.
    pub deleted: Option<Deleted>,
    /// The task whose failed and cancelled operations it tries again, where it is a retry.
    pub retry_of: Option<TaskId>,
}

/// What a purge has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Records of the type that it names.
    pub records: u64,
    /// Edges that went with the resources that it names.
    pub relationships: u64,
}

impl Task {
    /// Grows with all that becomes of it: each of its operations that is decided, each record that it purges, its end.
    pub fn revision(&self) -> u64 {
        let Counts {
            success,
            failure,
            cancelled,
            ..
        } = self.counts;
        let deleted = self.deleted.unwrap_or_default();
        let steps = [
            success,
            failure,
            cancelled,
            deleted.records,
            deleted.relationships,
        ];
        // Past what a number holds only where the row of the task is damaged.
        let steps = steps.into_iter().fold(0, u64::saturating_add);
        let ended = u64::from(self.completed_at.is_some());
        steps.saturating_mul(2).saturating_add(ended)
    }

    /// How many of its operations succeeded, once it has ended.
    pub fn outcome(&self) -> Option<Outcome> {
        self.completed_at?;
        // How many operations a purge would have had is known when it is through.
        if self.deleted.is_some() && self.status == TaskStatus::Cancelled {
            return Some(match self.counts.success {
                0 => Outcome::None,
                _ => Outcome::Partial,
            });
        }
        Some(match self.counts.success {
            n if n == self.counts.total => Outcome::Complete,
            0 => Outcome::None,
            _ => Outcome::Partial,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_with_and_without_their_prefix() {
        let ksuid = Ksuid::from_bytes([7; 20]);
        for kind in TaskKind::ALL {
            let id = TaskId { kind, ksuid };
            assert_eq!(TaskId::parse(&id.to_string()), Some(id));
            assert_eq!(TaskId::parse_reference(&id.to_string()), Some(ksuid));
        }
        assert_eq!(TaskId::parse_reference(&ksuid.to_string()), Some(ksuid));
        assert_eq!(TaskId::parse(&ksuid.to_string()), None);
        assert_eq!(TaskId::parse_reference("xx_123"), None);
    }

    #[test]
    fn a_revision_grows_with_each_step_and_ends_where_numbers_do() {
        let ksuid = Ksuid::from_bytes([7; 20]);
        let task = |success, completed_at| Task {
            id: TaskId {
                kind: TaskKind::Bulk,
                ksuid,
            },
            target_type: None,
            status: TaskStatus::Pending,
            counts: Counts {
                total: success,
                success,
                failure: 1,
                pending: 0,
                cancelled: 0,
            },
            created_at: Timestamp::EPOCH,
            started_at: None,
            completed_at,
            deleted: None,
            retry_of: None,
        };
        assert_eq!(task(3, None).revision(), 8);
        assert_eq!(task(3, Some(Timestamp::EPOCH)).revision(), 9);
        assert_eq!(task(u64::MAX, Some(Timestamp::EPOCH)).revision(), u64::MAX);
    }
}
