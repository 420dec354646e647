//! The review APIs. The sandbox has one user, who may do everything; reviews are answered and not stored.

use serde_json::{Value, json};
use vipscope_shared::admission::{Fault, FieldError};

use super::errors::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    SelfSubject,
    Token,
    SelfSubjectAccess,
    SubjectAccess,
    LocalSubjectAccess,
    SelfSubjectRules,
}

/// All of them: group, resource, kind, and whether below a namespace.
pub const REVIEWS: [(&str, &str, &str, bool, Review); 6] = [
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", false, Review::SelfSubject),
    ("authentication.k8s.io", "tokenreviews", "TokenReview", false, Review::Token),
    (
        "authorization.k8s.io",
        "localsubjectaccessreviews",
        "LocalSubjectAccessReview",
        true,
        Review::LocalSubjectAccess,
    ),
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        false,
        Review::SelfSubjectAccess,
    ),
    (
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        false,
        Review::SelfSubjectRules,
    ),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", false, Review::SubjectAccess),
];

fn user() -> Value {
    json!({ "username": "sandbox", "uid": "sandbox", "groups": ["system:masters", "system:authenticated"] })
}

impl Review {
    pub fn find(group: &str, plural: &str) -> Option<Review> {
        let found = |row: &&(&str, &str, &str, bool, Review)| (row.0, row.1) == (group, plural);
        REVIEWS.iter().find(found).map(|row| row.4)
    }

    /// The review with its answer.
    pub fn answer(self, mut review: Value, stamp: &str) -> Result<Value, Refusal> {
        let Some((group, _, kind, ..)) = REVIEWS.iter().find(|row| row.4 == self) else {
            return Err(Refusal::no_such_resource());
        };
        if !review.is_object() {
            return Err(Refusal::bad_request(format!("the body is not a {kind}")));
        }
        let access =
            matches!(self, Review::SelfSubjectAccess | Review::SubjectAccess | Review::LocalSubjectAccess);
        let spec = &review["spec"];
        if access && spec["resourceAttributes"].is_object() == spec["nonResourceAttributes"].is_object() {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let error = FieldError {
                field: "spec.resourceAttributes".to_owned(),
                fault: Fault::Invalid("null".to_owned(), why.to_owned()),
            };
            return Err(Refusal::invalid_kind(group, kind, "", &[error]));
        }
        review["kind"] = (*kind).into();
        review["apiVersion"] = format!("{group}/v1").into();
        review["metadata"] = json!({ "creationTimestamp": stamp });
        review["status"] = match self {
            Review::SelfSubject => json!({ "userInfo": user() }),
            Review::Token => json!({ "authenticated": true, "user": user() }),
            Review::SelfSubjectRules => json!({
                "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
                "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
                "incomplete": false,
            }),
            _ => json!({ "allowed": true, "reason": "the sandbox allows everything" }),
        };
        Ok(review)
    }
}
