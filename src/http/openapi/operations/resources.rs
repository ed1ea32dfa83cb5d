//! What the endpoints of resources do, in words.

use super::{Described, REASON, RESOURCES, change, create, gone, json_body, list, show, tagged};
use crate::http::admin::Operation;

/// The endpoint in words.
pub(super) fn described(operation: Operation) -> Described {
    match operation {
        Operation::CreateResource => create(
            "create_resource",
            RESOURCES,
            "Register a resource",
            "",
            "CreateResource",
            tagged(201, "It is registered.", "ResourceView"),
        ),
        Operation::ShowResource => {
            show("show_resource", RESOURCES, "Show a resource", "", tagged(200, "The resource.", "ResourceView"))
        }
        Operation::ReplaceResource => Described {
            body: json_body("ReplaceResource", true),
            ..change(
                "replace_resource",
                RESOURCES,
                "Replace all that describes a resource",
                "What is absent becomes the default. Nothing happens where it is so already. The reserved resource is not \
                 editable.",
                tagged(200, "The resource as it is now.", "ResourceView"),
            )
        },
        Operation::DeleteResource => Described {
            query: &[REASON],
            ..change(
                "delete_resource",
                RESOURCES,
                "Remove a resource",
                "Refused with 409 while clients name it.",
                gone("It is gone."),
            )
        },
        _ => list("list_resources", RESOURCES, "List the resources", "By ascending identifier.", "PageOfResourceView"),
    }
}
