//! Where a credential can be presented, as the described API tells.

use std::fmt;

use serde_json::Value;

use super::stage::Stage;

/// How a parameter travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// In the header or cookie of this security scheme.
    Scheme(String),
    /// As this member of a JSON object.
    Member(String),
    /// As this field of a form.
    Field(String),
    /// As this parameter of the query.
    Query(String),
}

/// A parameter that takes a credential.
#[derive(Debug, Clone)]
pub struct Place {
    pub method: String,
    pub path: String,
    /// Whether the admin listener serves it.
    pub of_admins: bool,
    pub way: Way,
    /// The kind that it takes.
    pub takes: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.path, self.way)
    }
}

impl Place {
    /// Whether the right credential has all that is needed: the stage completes the request. Of the admin API only what
    /// lists is asked for in full; what changes something is left at the door that it passed.
    pub fn must_succeed(&self) -> bool {
        let lists = self.method == "GET" && self.path != "/admin/v1/sessions";
        !self.path.contains('{') && (!self.of_admins || lists)
    }

    /// The path, with what there is not in the place of what it names.
    pub fn path_of_nothing(&self) -> String {
        let nothing = "00000000-0000-7000-8000-000000000000";
        self.path
            .split('/')
            .map(|part| if part.starts_with('{') { nothing } else { part })
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Whether failures here are counted as guesses, and make others wait.
    pub fn is_guesswork(&self) -> bool {
        self.takes == "password"
    }

    /// Whether what is presented ends by it.
    pub fn ends(&self) -> bool {
        self.path == "/auth/logout" || self.path == "/auth/sessions" && self.method == "DELETE"
    }
}

/// Each of them.
pub async fn places(stage: &Stage) -> Vec<Place> {
    let api = stage.signet.get("/openapi.json").await.body;
    let mut places = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        let of_admins = item.get("servers").is_some();
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("responses").is_none() {
                continue;
            }
            let mut add = |way, takes: &str| {
                let (method, path) = (method.to_uppercase(), path.clone());
                places.push(Place { method, path, of_admins, way, takes: takes.to_owned() });
            };
            for scheme in
                operation["security"].as_array().unwrap().iter().flat_map(|one| one.as_object().unwrap().keys())
            {
                let takes = api["components"]["securitySchemes"][scheme]["x-credential"].as_str();
                add(Way::Scheme(scheme.clone()), takes.unwrap_or_else(|| panic!("{scheme} takes nothing")));
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if let Some(takes) = parameter["x-credential"].as_str() {
                    add(Way::Query(parameter["name"].as_str().unwrap().to_owned()), takes);
                }
            }
            for (content_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                for (name, member) in members(&api, &content["schema"]) {
                    if let Some(takes) = member["x-credential"].as_str() {
                        let is_form = content_type == "application/x-www-form-urlencoded";
                        add(if is_form { Way::Field(name.clone()) } else { Way::Member(name.clone()) }, takes);
                    }
                }
            }
        }
    }
    places
}

fn members<'a>(api: &'a Value, schema: &Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let name = schema["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    api["components"]["schemas"][name]["properties"].as_object().into_iter().flatten()
}
