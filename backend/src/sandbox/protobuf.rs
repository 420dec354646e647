//! Reading protobuf bodies, as kubectl's typed clients send them: an envelope and a message, to JSON by the type table.
//!
//! Upstream: `k8s.io/apimachinery/pkg/runtime/serializer/protobuf` and the types' `generated.proto`. Answers are JSON, which
//! these clients accept as well.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::schema::{self, Base, Field, Schema, Shape, Typed};

const MAGIC: &[u8; 4] = b"k8s\0";
/// Messages inside messages; the deepest real one has about a dozen.
const DEEPEST: usize = 64;
/// Fields whose zero is a choice, not an omission: pointers in Go.
const MEANT_ZEROS: &[&str] = &[
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "backoffLimit",
    "blockOwnerDeletion",
    "completions",
    "controller",
    "enableServiceLinks",
    "gracePeriodSeconds",
    "hostUsers",
    "immutable",
    "optional",
    "orphanDependents",
    "parallelism",
    "privileged",
    "progressDeadlineSeconds",
    "readOnlyRootFilesystem",
    "ready",
    "replicas",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "serving",
    "terminating",
    "terminationGracePeriodSeconds",
    "ttlSecondsAfterFinished",
];

/// The object in an envelope: its `apiVersion` and `kind` come from the envelope. An error says what can't be read.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let rest = body.strip_prefix(MAGIC).ok_or("the body does not begin with the magic number `k8s\\0`")?;
    let (mut kind, mut api_version, mut raw) = (String::new(), String::new(), &[][..]);
    let mut envelope = Wire(rest);
    while let Some((number, value)) = envelope.next()? {
        match (number, value) {
            (1, Item::Bytes(meta)) => {
                let mut meta = Wire(meta);
                while let Some((number, value)) = meta.next()? {
                    match number {
                        1 => api_version = value.text()?.to_owned(),
                        2 => kind = value.text()?.to_owned(),
                        _ => {}
                    }
                }
            }
            (2, Item::Bytes(bytes)) => raw = bytes,
            // The encoding and type of `raw`: empty for protobuf.
            (3 | 4, Item::Bytes(b"")) => {}
            (number, _) => return Err(format!("field {number} of the envelope is not supported")),
        }
    }
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let known = schema::of_kind(group, &kind).or_else(|| {
        // Options travel under the version of what they are for.
        (kind == "DeleteOptions").then(|| schema::named("meta.DeleteOptions")).flatten()
    });
    let schema =
        known.ok_or_else(|| format!("{kind} in version \"{api_version}\" can't be read as protobuf"))?;
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    read_message(raw, schema, &mut object, 0)?;
    Ok(Value::Object(object))
}

fn read_message(
    bytes: &[u8],
    schema: &Schema,
    into: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), String> {
    if depth > DEEPEST {
        return Err("messages are nested too deeply".to_owned());
    }
    let mut wire = Wire(bytes);
    while let Some((number, item)) = wire.next()? {
        let field = schema.fields.iter().find(|field| field.number == number);
        let field = field.ok_or_else(|| format!("field {number} of {} is not known", schema.name))?;
        read_field(field, item, into, depth)?;
    }
    Ok(())
}

fn read_field(
    field: &Field,
    item: Item<'_>,
    into: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), String> {
    if field.inline {
        let schema = field.schema().ok_or("a type is missing")?;
        return read_message(item.bytes()?, schema, into, depth + 1);
    }
    match field.shape {
        Shape::One => {
            let value = read_value(field, item, depth)?;
            let omitted = match &value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Bool(false) => !MEANT_ZEROS.contains(&field.name),
                Value::Number(number) => {
                    number.as_i64() == Some(0)
                        && !MEANT_ZEROS.contains(&field.name)
                        && matches!(field.base, Base::Int32 | Base::Int64)
                }
                _ => false,
            };
            if !omitted {
                into.insert(field.name.to_owned(), value);
            }
        }
        Shape::List => {
            let slot = into.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = slot {
                match (field.base, item) {
                    // Numbers may come packed.
                    (Base::Int32 | Base::Int64, Item::Bytes(mut packed)) => {
                        while !packed.is_empty() {
                            list.push((varint(&mut packed)? as i64).into());
                        }
                    }
                    (_, item) => list.push(read_value(field, item, depth)?),
                }
            }
        }
        Shape::Map => {
            let slot = into.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            let (mut key, mut value) = (String::new(), None);
            let mut entry = Wire(item.bytes()?);
            while let Some((number, item)) = entry.next()? {
                match number {
                    1 => key = item.text()?.to_owned(),
                    _ => value = Some(read_value(field, item, depth)?),
                }
            }
            if let Value::Object(map) = slot {
                map.insert(key, value.unwrap_or_else(|| "".into()));
            }
        }
    }
    Ok(())
}

fn read_value(field: &Field, item: Item<'_>, depth: usize) -> Result<Value, String> {
    Ok(match field.base {
        Base::String => item.text()?.into(),
        Base::Bool => (item.number()? != 0).into(),
        Base::Int32 | Base::Int64 => (item.number()? as i64).into(),
        Base::Double => f64::from_bits(item.number()?).into(),
        Base::Bytes => STANDARD.encode(item.bytes()?).into(),
        Base::Time | Base::MicroTime => read_time(item.bytes()?, field.base)?,
        Base::Quantity => {
            let text = fields(item.bytes()?)?.into_iter().find(|(number, _)| *number == 1);
            text.map_or(Ok(Value::Null), |(_, item)| item.text().map(Value::from))?
        }
        Base::IntOrString => read_int_or_string(item.bytes()?)?,
        Base::Raw => {
            let json = fields(item.bytes()?)?.into_iter().find(|(number, _)| *number == 1);
            let json = json.map(|(_, item)| item.bytes()).transpose()?.unwrap_or(b"null");
            serde_json::from_slice(json).map_err(|error| error.to_string())?
        }
        Base::Strings => {
            let texts = fields(item.bytes()?)?;
            let texts: Result<Vec<Value>, String> =
                texts.into_iter().map(|(_, item)| item.text().map(Value::from)).collect();
            Value::Array(texts?)
        }
        Base::Message(_) => {
            let mut map = Map::new();
            read_message(item.bytes()?, field.schema().ok_or("a type is missing")?, &mut map, depth + 1)?;
            Value::Object(map)
        }
    })
}

/// `null` for the time that is not set.
fn read_time(bytes: &[u8], base: Base) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (None, 0);
    for (number, item) in fields(bytes)? {
        match number {
            1 => seconds = Some(item.number()? as i64),
            _ => nanos = item.number()? as i32,
        }
    }
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let time = Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok(match base {
        Base::MicroTime => format!("{time:.6}").into(),
        _ => time.to_string().into(),
    })
}

fn read_int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    for (field, item) in fields(bytes)? {
        match field {
            1 => is_text = item.number()? == 1,
            2 => number = item.number()? as i64,
            _ => text = item.text()?,
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// One value as it is on the wire.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Item<'a> {
    fn number(self) -> Result<u64, String> {
        match self {
            Item::Number(number) => Ok(number),
            Item::Bytes(_) => Err("expected a number".to_owned()),
        }
    }

    fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Item::Bytes(bytes) => Ok(bytes),
            Item::Number(_) => Err("expected a message or text".to_owned()),
        }
    }

    fn text(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|error| error.to_string())
    }
}

fn fields(bytes: &[u8]) -> Result<Vec<(u64, Item<'_>)>, String> {
    let (mut wire, mut all) = (Wire(bytes), Vec::new());
    while let Some(field) = wire.next()? {
        all.push(field);
    }
    Ok(all)
}

/// Reads field after field.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn next(&mut self) -> Result<Option<(u64, Item<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = varint(&mut self.0)?;
        let item = match tag & 7 {
            0 => Item::Number(varint(&mut self.0)?),
            1 => Item::Number(u64::from_le_bytes(self.fixed()?)),
            5 => Item::Number(u64::from(u32::from_le_bytes(self.fixed()?))),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).unwrap_or(usize::MAX);
                Item::Bytes(self.take(length)?)
            }
            other => return Err(format!("wire type {other} is not supported")),
        };
        Ok(Some((tag >> 3, item)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("the body ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "the body ends too early".to_owned())
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut result = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or("the body ends too early")?;
        *bytes = rest;
        result |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(result);
        }
    }
    Err("a number is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A field that holds bytes.
    fn put(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, content.len() as u8], content].concat()
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [put(1, version.as_bytes()), put(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), put(1, &meta), put(2, raw), put(3, b""), put(4, b"")].concat()
    }

    #[test]
    fn a_namespace_as_kubectl_sends_it() {
        let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x1b\x0a\x13\x0a\x03zzz\x12\0\x1a\0\x22\0\x2a\0\x32\0\x38\0\x42\0\x12\0\x1a\x02\x0a\0\x1a\0\x22\0";
        let expected = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "zzz"}, "spec": {}, "status": {}});
        assert_eq!(decode(body).unwrap(), expected);
    }

    #[test]
    fn ports_maps_and_zeros() {
        let port =
            [put(1, b"http"), vec![3 << 3, 80], put(4, &[put(3, b"web"), vec![8, 1]].concat())].concat();
        let selector = [put(1, b"app"), put(2, b"a")].concat();
        let spec = [put(1, &port), put(2, &selector), vec![0x68, 0]].concat();
        let service = decode(&envelope("v1", "Service", &put(2, &spec))).unwrap();
        let spec =
            json!({"ports": [{"name": "http", "port": 80, "targetPort": "web"}], "selector": {"app": "a"}});
        assert_eq!(service["spec"], spec);
        let deployment = decode(&envelope("apps/v1", "Deployment", &put(2, &[8, 0]))).unwrap();
        assert_eq!(deployment["spec"], json!({"replicas": 0}));
    }

    #[test]
    fn broken_bodies_are_refused() {
        let rows: [(&[u8], &str); 4] = [
            (b"{}", "the body does not begin with the magic number `k8s\\0`"),
            (b"k8s\0\x0a\x7f", "the body ends too early"),
            (&envelope("v1", "Unheard", b""), "Unheard in version \"v1\" can't be read as protobuf"),
            (&envelope("v1", "Namespace", &[0x78, 1]), "field 15 of core.Namespace is not known"),
        ];
        for (body, expected) in rows {
            assert_eq!(decode(body).unwrap_err(), expected);
        }
    }
}
