//! Turns a definition of a Swagger 2.0 file, with all that it refers to in this and other files,
//! into one JSON schema that stands by itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// What means the same in both languages. `readOnly` and the like say nothing about answers.
const KEPT: [&str; 10] = [
    "type", "required", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
];

/// The schema of what an operation answers with a status, or with one that is not listed.
pub fn of_answer(file: &Path, operation: &str, status: u16) -> Value {
    let mut files = Files::default();
    let file = fs::canonicalize(file).unwrap();
    let described = files.read(&file)["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .find(|described| described["operationId"] == operation)
        .unwrap_or_else(|| panic!("{}: there is no operation {operation}", file.display()));
    let answers = &described["responses"];
    let answer = answers.get(status.to_string()).unwrap_or(&answers["default"])["schema"].clone();
    assert!(answer.is_object(), "{operation}: an answer of {status} has no body");
    files.alone(&file, &answer)
}

/// The schema of a definition.
pub fn of_definition(file: &Path, name: &str) -> Value {
    let file = fs::canonicalize(file).unwrap();
    Files::default().alone(&file, &json!({"$ref": format!("#/definitions/{name}")}))
}

#[derive(Default)]
struct Files {
    files: BTreeMap<PathBuf, Value>,
    /// What a definition is called in the schema, by its file and pointer.
    names: BTreeMap<(PathBuf, String), String>,
    definitions: Map<String, Value>,
}

impl Files {
    fn read(&mut self, file: &Path) -> &Value {
        self.files.entry(file.to_owned()).or_insert_with(|| {
            let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
    }

    fn alone(mut self, file: &Path, swagger: &Value) -> Value {
        let mut schema = self.translate(file, swagger, true);
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["$defs"] = self.definitions.into();
        schema
    }

    /// The name of a definition, which is translated first if it was not yet.
    fn definition(&mut self, file: &Path, pointer: &str) -> String {
        let id = (file.to_owned(), pointer.to_owned());
        if let Some(name) = self.names.get(&id) {
            return name.clone();
        }
        let name = format!("{}-{}", self.names.len(), pointer.rsplit('/').next().unwrap_or_default());
        // Before its content: definitions refer to themselves.
        self.names.insert(id, name.clone());
        let found = self.read(file).pointer(pointer).cloned();
        let swagger = found.unwrap_or_else(|| panic!("{}: there is no {pointer}", file.display()));
        let schema = self.translate(file, &swagger, false);
        self.definitions.insert(name.clone(), schema);
        name
    }

    /// Translates a schema object. A sealed one takes no property that is not described; parts of
    /// an `allOf` cannot be sealed, as each knows some of the properties only.
    fn translate(&mut self, file: &Path, swagger: &Value, sealed: bool) -> Value {
        let mut schema = Map::new();
        if let Some(reference) = swagger.get("$ref").and_then(Value::as_str) {
            let (other, pointer) = reference.split_once('#').unwrap();
            let target = if other.is_empty() { file.to_owned() } else { beside(file, other) };
            schema.insert("$ref".into(), format!("#/$defs/{}", self.definition(&target, pointer)).into());
        } else {
            self.keywords(file, swagger, &mut schema);
        }
        if sealed && ["$ref", "properties", "allOf"].iter().any(|keyword| schema.contains_key(*keyword)) {
            schema.insert("unevaluatedProperties".into(), false.into());
        }
        Value::Object(schema)
    }

    fn keywords(&mut self, file: &Path, swagger: &Value, schema: &mut Map<String, Value>) {
        for keyword in KEPT {
            if let Some(value) = swagger.get(keyword) {
                schema.insert(keyword.into(), value.clone());
            }
        }
        // "modelAsString" is Microsoft's way to say that words may be added at any time.
        let open = swagger.pointer("/x-ms-enum/modelAsString") == Some(&Value::Bool(true));
        if let (Some(words), false) = (swagger.get("enum"), open) {
            schema.insert("enum".into(), words.clone());
        }
        if let Some(properties) = swagger.get("properties").and_then(Value::as_object) {
            let properties: Map<String, Value> =
                properties.iter().map(|(name, value)| (name.clone(), self.translate(file, value, true))).collect();
            schema.insert("properties".into(), properties.into());
        }
        for keyword in ["items", "additionalProperties"] {
            match swagger.get(keyword) {
                Some(value) if value.is_object() => {
                    schema.insert(keyword.into(), self.translate(file, value, true));
                }
                Some(value) => {
                    schema.insert(keyword.into(), value.clone());
                }
                None => {}
            }
        }
        if let Some(parts) = swagger.get("allOf").and_then(Value::as_array) {
            let parts: Vec<Value> = parts.iter().map(|part| self.translate(file, part, false)).collect();
            schema.insert("allOf".into(), parts.into());
        }
    }
}

/// A file that another one names by a relative path, under one name however it was reached.
fn beside(file: &Path, other: &str) -> PathBuf {
    let path = file.parent().unwrap().join(other);
    fs::canonicalize(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a schema has against a value.
pub fn objections(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}
