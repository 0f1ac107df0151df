//! Vocabularies and concepts. One row is what their changes agree on: each takes it alone, and a definition that is
//! bound to a vocabulary shares it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use granary_core::keys::{ConceptCode, Key};
use granary_core::schema::{AcceptedDefinition, DefinitionKind};
use granary_core::terminology::{
    Concept, ConceptChange, ConceptRules, Kept, LanguageTag, Outcome, Vocabulary, VocabularyChange,
    VocabularyRules, decide,
};
use granary_core::time::Timestamp;
use granary_core::vocabulary::Codes;
use granary_store::{
    PAGE_BYTES_MAX, Result, StoreError, StoredConcept, StoredVocabulary, Terminology, VocabularyHead,
    VocabularyHeads, may_go_on, names_known,
};
use tokio_postgres::Row;

use crate::catalog::{kind_number, parsed_key};
use crate::failure::Attempt;
use crate::packed::{decode, encode};
use crate::session::{Session, params};
use crate::transact::Rules;
use crate::{BUCKETS, Inner, PostgresStore, bucket_of_key, damaged, int4, int8, uint4, uint8};

/// What a vocabulary is kept as: title, description.
type VocabularyContent = (Box<str>, Option<Box<str>>);
/// What a concept is kept as: definition, terms by language.
type ConceptContent = (Option<Box<str>>, Vec<(Box<str>, Box<str>)>);

fn vocabulary_content(vocabulary: &Vocabulary) -> Vec<u8> {
    encode(&(&vocabulary.title, &vocabulary.description))
}

fn vocabulary_of(content: &[u8], created_at: i64, updated_at: i64) -> Result<Kept<Vocabulary>> {
    let (title, description): VocabularyContent = decode(content, "a vocabulary")?;
    Ok(Kept {
        content: Vocabulary { title, description },
        created_at: Timestamp::from_millis(created_at),
        updated_at: Timestamp::from_millis(updated_at),
    })
}

fn concept_content(concept: &Concept) -> Vec<u8> {
    let terms: Vec<(&str, &str)> = concept
        .designation
        .iter()
        .map(|(language, term)| (language.as_str(), &**term))
        .collect();
    encode(&(&concept.definition, terms))
}

fn concept_of(content: &[u8], created_at: i64, updated_at: i64) -> Result<Kept<Concept>> {
    let (definition, terms): ConceptContent = decode(content, "a concept")?;
    let term = |(language, term): (Box<str>, Box<str>)| {
        let language = LanguageTag::parse(&language).ok_or_else(|| damaged("the language of a concept"))?;
        Ok((language, term))
    };
    Ok(Kept {
        content: Concept {
            definition,
            designation: terms.into_iter().map(term).collect::<Result<BTreeMap<_, _>>>()?,
        },
        created_at: Timestamp::from_millis(created_at),
        updated_at: Timestamp::from_millis(updated_at),
    })
}

/// The bucket of the concepts of the vocabulary with this number.
fn bucket_of_vocabulary(number: u32) -> i16 {
    (number % BUCKETS) as i16
}

/// The columns that [`head_of`] reads, in their order.
const HEADS: &str = "SELECT key, number, revision, concepts, code_bytes FROM granary.vocabulary";

fn head_of(row: &Row, from: usize) -> VocabularyHead {
    VocabularyHead {
        number: uint4(row.get(from)),
        revision: uint8(row.get(from + 1)),
        concepts: uint8(row.get(from + 2)),
        code_bytes: uint8(row.get(from + 3)),
    }
}

async fn read_heads(session: &Session) -> Attempt<VocabularyHeads> {
    let rows = session.query(HEADS, params![]).await?;
    rows.iter()
        .map(|row| Ok((parsed_key(row.get(0))?, head_of(row, 1))))
        .collect()
}

fn stored_vocabulary(row: &Row) -> Attempt<StoredVocabulary> {
    Ok(StoredVocabulary {
        key: parsed_key(row.get(0))?,
        head: head_of(row, 1),
        kept: vocabulary_of(row.get(5), row.get(6), row.get(7))?,
    })
}

fn parsed_code(raw: &str) -> Result<ConceptCode> {
    ConceptCode::parse(raw).map_err(|_| damaged("the code of a concept"))
}

fn stored_concept(row: &Row) -> Result<StoredConcept> {
    Ok(StoredConcept {
        code: parsed_code(row.get(0))?,
        kept: concept_of(row.get(1), row.get(2), row.get(3))?,
    })
}

/// Locks the terminology against all other changes.
async fn lock_terminology(session: &Session) -> Attempt<()> {
    let sql = "SELECT 1 FROM granary.terminology WHERE bucket = 0 FOR UPDATE";
    session.query_one(sql, params![]).await?;
    Ok(())
}

/// The head of one vocabulary, or `NOT_FOUND`.
async fn find_head(session: &Session, key: &Key) -> Attempt<VocabularyHead> {
    let sql = "SELECT number, revision, concepts, code_bytes FROM granary.vocabulary WHERE bucket = $1 AND key = $2";
    let row = session
        .query_opt(sql, params![bucket_of_key(key), key.as_str()])
        .await?;
    let row = row.ok_or_else(|| StoreError::vocabulary_gone(key))?;
    Ok(head_of(&row, 0))
}

impl Inner {
    /// Sees that the vocabularies that a definition names are there, and keeps them until the end of the transaction.
    pub(crate) async fn see_vocabularies(
        &self,
        session: &Session,
        definition: &AcceptedDefinition,
    ) -> Attempt<()> {
        if definition.vocabularies().is_empty() {
            return Ok(());
        }
        let sql = "SELECT 1 FROM granary.terminology WHERE bucket = 0 FOR SHARE";
        session.query_one(sql, params![]).await?;
        Ok(names_known(definition, &read_heads(session).await?)?)
    }

    async fn change_vocabularies_in(
        &self,
        session: &Session,
        changes: Vec<VocabularyChange>,
        now: Timestamp,
    ) -> Attempt<Vec<Outcome>> {
        lock_terminology(session).await?;
        let heads = read_heads(session).await?;
        let keys: Vec<&str> = changes.iter().map(|change| change.name().as_str()).collect();
        let sql = "SELECT key, number, revision, concepts, code_bytes, content, created_at, updated_at \
                   FROM granary.vocabulary WHERE key = ANY ($1)";
        let of_keys = params![keys.clone()];
        let (rows, bound) = futures::try_join!(session.query(sql, of_keys), bound_to(session, &keys))?;
        let mut found: HashMap<Key, Kept<Vocabulary>> = HashMap::new();
        for row in &rows {
            let stored = stored_vocabulary(row)?;
            found.insert(stored.key, stored.kept);
        }
        let mut rules = VocabularyRules {
            count: heads.len() as u64,
            count_max: self.limits.vocabularies,
            in_use: |key: &Key| bound.get(key).cloned(),
        };
        let decided = decide(changes, now, &mut rules, |key| {
            Ok::<_, StoreError>(found.get(key).cloned())
        })?;
        for (key, touched) in decided.touched {
            if !touched.changed {
                continue;
            }
            let bucket = bucket_of_key(&key);
            let mut number = heads.get(&key).map(|head| head.number);
            if let Some(gone) = number
                && (touched.now.is_none() || touched.fresh)
            {
                let sql = "DELETE FROM granary.concept WHERE bucket = $1 AND vocabulary = $2";
                session
                    .execute(sql, params![bucket_of_vocabulary(gone), int4(gone)])
                    .await?;
                let sql = "DELETE FROM granary.vocabulary WHERE bucket = $1 AND key = $2";
                session.execute_on(1, sql, params![bucket, key.as_str()]).await?;
                number = None;
            }
            let Some(kept) = touched.now else { continue };
            let number = match number {
                Some(number) => int4(number),
                None => {
                    let sql = "UPDATE granary.terminology SET vocabularies = vocabularies + 1 WHERE bucket = 0 \
                               RETURNING vocabularies";
                    let given: i32 = session.query_one(sql, params![]).await?.get(0);
                    int4(given.unsigned_abs() * BUCKETS + u32::from(bucket.unsigned_abs()))
                }
            };
            let sql = "INSERT INTO granary.vocabulary (bucket, key, number, revision, concepts, code_bytes, content, \
                       created_at, updated_at) VALUES ($1, $2, $3, 0, 0, 0, $4, $5, $6) \
                       ON CONFLICT (bucket, key) DO UPDATE SET content = excluded.content, \
                       updated_at = excluded.updated_at";
            let row = params![
                bucket,
                key.as_str(),
                number,
                vocabulary_content(&kept.content),
                kept.created_at.millis(),
                kept.updated_at.millis()
            ];
            session.execute_on(1, sql, row).await?;
        }
        Ok(decided.outcomes)
    }

    async fn change_concepts_in(
        &self,
        session: &Session,
        vocabulary: &Key,
        changes: Vec<ConceptChange>,
        now: Timestamp,
    ) -> Attempt<Vec<Outcome>> {
        lock_terminology(session).await?;
        let head = find_head(session, vocabulary).await?;
        let all_bytes: u64 = read_heads(session)
            .await?
            .values()
            .map(|head| head.code_bytes)
            .sum();
        let mut rules = ConceptRules {
            count: head.concepts,
            count_max: self.limits.concepts_per_vocabulary,
            bytes: head.code_bytes,
            bytes_of_others: all_bytes - head.code_bytes,
            bytes_max: self.limits.concept_code_bytes,
        };
        let (bucket, number) = (bucket_of_vocabulary(head.number), int4(head.number));
        let codes: Vec<&str> = changes.iter().map(|change| change.name().as_str()).collect();
        let sql = "SELECT code, content, created_at, updated_at FROM granary.concept \
                   WHERE bucket = $1 AND vocabulary = $2 AND code = ANY ($3)";
        let mut found: HashMap<ConceptCode, Kept<Concept>> = HashMap::new();
        for row in session.query(sql, params![bucket, number, codes]).await? {
            let stored = stored_concept(&row)?;
            found.insert(stored.code, stored.kept);
        }
        let decided = decide(changes, now, &mut rules, |code| {
            Ok::<_, StoreError>(found.get(code).cloned())
        })?;
        let changed = decided.touched.iter().filter(|(_, touched)| touched.changed);
        let (mut put, mut contents, mut created, mut updated) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut gone = Vec::new();
        for (code, touched) in changed {
            match &touched.now {
                None => gone.push(code.as_str()),
                Some(kept) => {
                    put.push(code.as_str());
                    contents.push(concept_content(&kept.content));
                    created.push(kept.created_at.millis());
                    updated.push(kept.updated_at.millis());
                }
            }
        }
        if gone.is_empty() && put.is_empty() {
            return Ok(decided.outcomes);
        }
        let sql = "DELETE FROM granary.concept WHERE bucket = $1 AND vocabulary = $2 AND code = ANY ($3)";
        session.execute(sql, params![bucket, number, gone]).await?;
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let sql = "INSERT INTO granary.concept (bucket, vocabulary, code, content, created_at, updated_at) \
                   SELECT $1, $2, u.* FROM unnest($3::text[], $4::bytea[], $5::int8[], $6::int8[]) u \
                   ON CONFLICT (bucket, vocabulary, code) DO UPDATE SET content = excluded.content, \
                   created_at = excluded.created_at, updated_at = excluded.updated_at";
        session
            .execute(sql, params![bucket, number, put, contents, created, updated])
            .await?;
        let sql = "UPDATE granary.vocabulary SET revision = revision + 1, concepts = $3, code_bytes = $4 \
                   WHERE bucket = $1 AND key = $2";
        let counts = params![
            bucket_of_key(vocabulary),
            vocabulary.as_str(),
            int8(rules.count),
            int8(rules.bytes)
        ];
        session.execute_on(1, sql, counts).await?;
        Ok(decided.outcomes)
    }
}

/// What is bound to vocabularies, by their keys.
async fn bound_to(session: &Session, keys: &[&str]) -> Attempt<HashMap<Key, String>> {
    let sql = "SELECT k.key, d.kind, d.key, s.key FROM unnest($1::text[]) k (key) \
               JOIN granary.definition d ON d.vocabularies @> ARRAY[k.key] \
               JOIN granary.source s ON s.bucket = d.bucket AND s.source = d.source AND NOT s.dead";
    let mut bound = HashMap::new();
    for row in session.query(sql, params![keys.to_vec()]).await? {
        let noun = match row.get::<_, i16>(1) == kind_number(DefinitionKind::Profile) {
            true => DefinitionKind::Profile.noun(),
            false => DefinitionKind::RelationshipDefinition.noun(),
        };
        let (definition, source): (&str, &str) = (row.get(2), row.get(3));
        bound.insert(
            parsed_key(row.get(0))?,
            format!("{noun} '{definition}' of source '{source}'"),
        );
    }
    Ok(bound)
}

#[async_trait]
impl Terminology for PostgresStore {
    async fn vocabulary_heads(&self) -> Result<Arc<VocabularyHeads>> {
        let heads = self
            .inner
            .read(|session: Arc<Session>| async move { read_heads(&session).await });
        Ok(Arc::new(heads.await?))
    }

    async fn vocabulary(&self, key: &Key) -> Result<Option<StoredVocabulary>> {
        self.inner
            .read(|session: Arc<Session>| async move {
                let sql = "SELECT key, number, revision, concepts, code_bytes, content, created_at, updated_at \
                           FROM granary.vocabulary WHERE bucket = $1 AND key = $2";
                let row = session.query_opt(sql, params![bucket_of_key(key), key.as_str()]).await?;
                row.as_ref().map(stored_vocabulary).transpose()
            })
            .await
    }

    async fn vocabularies(&self, after: Option<&Key>, limit: usize) -> Result<Vec<StoredVocabulary>> {
        self.inner
            .read(|session: Arc<Session>| async move {
                let sql = "SELECT key, number, revision, concepts, code_bytes, content, created_at, updated_at FROM ( \
                           SELECT p.*, sum(octet_length(content)) OVER (ORDER BY key ROWS UNBOUNDED PRECEDING) AS upto \
                           FROM (SELECT * FROM granary.vocabulary WHERE key > $1 ORDER BY key LIMIT $2) p) p \
                           WHERE upto - octet_length(content) < $3 ORDER BY key";
                let mut page: Vec<StoredVocabulary> = Vec::new();
                loop {
                    let after = page.last().map(|last| &last.key).or(after).map_or("", Key::as_str);
                    let room = int8((limit - page.len()) as u64);
                    let rows = session.query(sql, params![after, room, PAGE_BYTES_MAX as i64]).await?;
                    for row in &rows {
                        page.push(stored_vocabulary(row)?);
                    }
                    // Rows weigh more there than here: the page may have ended early.
                    if rows.is_empty() || may_go_on(&page, limit) {
                        return Ok(page);
                    }
                }
            })
            .await
    }

    async fn change_vocabularies(
        &self,
        changes: Vec<VocabularyChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        let (inner, changes) = (&self.inner, &changes);
        inner.check_open()?;
        let change = |session: Arc<Session>| async move {
            inner.change_vocabularies_in(&session, changes.clone(), now).await
        };
        inner.transact(Rules::DURABLE, change).await
    }

    async fn concept(&self, vocabulary: &Key, code: &ConceptCode) -> Result<Option<StoredConcept>> {
        self.inner
            .read(|session: Arc<Session>| async move {
                let head = find_head(&session, vocabulary).await?;
                let sql = "SELECT code, content, created_at, updated_at FROM granary.concept \
                           WHERE bucket = $1 AND vocabulary = $2 AND code = $3";
                let of = params![
                    bucket_of_vocabulary(head.number),
                    int4(head.number),
                    code.as_str()
                ];
                let row = session.query_opt(sql, of).await?;
                Ok(row.as_ref().map(stored_concept).transpose()?)
            })
            .await
    }

    async fn concepts(
        &self,
        vocabulary: &Key,
        after: Option<&ConceptCode>,
        limit: usize,
    ) -> Result<Vec<StoredConcept>> {
        self.inner
            .read(|session: Arc<Session>| async move {
                let head = find_head(&session, vocabulary).await?;
                let sql = "SELECT code, content, created_at, updated_at FROM ( \
                           SELECT p.*, sum(octet_length(content)) OVER (ORDER BY code ROWS UNBOUNDED PRECEDING) AS upto \
                           FROM (SELECT * FROM granary.concept WHERE bucket = $1 AND vocabulary = $2 AND code > $3 \
                           ORDER BY code LIMIT $4) p) p WHERE upto - octet_length(content) < $5 ORDER BY code";
                let mut page: Vec<StoredConcept> = Vec::new();
                loop {
                    let after = page.last().map(|last| &last.code).or(after);
                    let of = params![
                        bucket_of_vocabulary(head.number),
                        int4(head.number),
                        after.map_or("", ConceptCode::as_str),
                        int8((limit - page.len()) as u64),
                        PAGE_BYTES_MAX as i64
                    ];
                    let rows = session.query(sql, of).await?;
                    for row in &rows {
                        page.push(stored_concept(row)?);
                    }
                    // Rows weigh more there than here: the page may have ended early.
                    if rows.is_empty() || may_go_on(&page, limit) {
                        return Ok(page);
                    }
                }
            })
            .await
    }

    async fn codes(&self, vocabulary: &Key) -> Result<Option<(VocabularyHead, Codes)>> {
        self.inner
            .read(|session: Arc<Session>| async move {
                // One statement, so that head and codes are of one moment.
                let sql = "SELECT v.number, v.revision, v.concepts, v.code_bytes, c.code FROM granary.vocabulary v \
                           LEFT JOIN granary.concept c ON c.vocabulary = v.number AND c.bucket = v.number % 1024 \
                           WHERE v.bucket = $1 AND v.key = $2";
                let of = params![bucket_of_key(vocabulary), vocabulary.as_str()];
                let rows = session.query(sql, of).await?;
                let Some(first) = rows.first() else { return Ok(None) };
                let codes = rows.iter().filter_map(|row| row.get::<_, Option<&str>>(4));
                Ok(Some((head_of(first, 0), codes.collect())))
            })
            .await
    }

    async fn change_concepts(
        &self,
        vocabulary: &Key,
        changes: Vec<ConceptChange>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        let (inner, changes) = (&self.inner, &changes);
        inner.check_open()?;
        let change = |session: Arc<Session>| async move {
            inner
                .change_concepts_in(&session, vocabulary, changes.clone(), now)
                .await
        };
        inner.transact(Rules::DURABLE, change).await
    }
}
