//! A namespace that is being deleted: empties it, then lets it go.

use vipscope_shared::model::Key;

use crate::sandbox::object;
use crate::sandbox::objects::{self, DeleteOptions};
use crate::sandbox::resources::Type;
use crate::sandbox::store::Store;

pub fn sync(store: &Store, key: &Key) {
    store.write(|tx| {
        let marked = tx.get(Type::Namespaces, key).is_some_and(|namespace| object::is_terminating(namespace));
        if !marked {
            return;
        }
        for resource in Type::all().filter(|resource| resource.is_namespaced()) {
            for object in tx.keys(resource, &key.name) {
                let _ = objects::delete(tx, resource, &object, &DeleteOptions::default());
            }
        }
        let mut left = Type::all().filter(|resource| resource.is_namespaced());
        if left.all(|resource| tx.keys(resource, &key.name).is_empty()) {
            objects::finalize_namespace(tx, key);
        }
    });
}
