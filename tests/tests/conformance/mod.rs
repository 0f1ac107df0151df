//! The founding text, *Using the Bulk API*, as tests over HTTP. The first six modules are its headings; their tests are
//! its promises, and its examples are sent as they stand there, comments apart. Then come what bad input gets and what
//! holds of a server as a whole.

mod using_the_bulk_api;

mod sending_a_bulk_request;

mod create_resource_operation;

mod upsert_operation;

mod delete_operation;

mod bulk_response;

mod bulk_task;

mod bad_bodies;
mod bad_operations;
mod bad_values;
mod bundle;
mod cases;
mod deleting;
mod hostile;
mod idle_clients;
mod registry;
mod server;
mod single_writes;
mod slow_clients;
mod vocabularies;

/// The founding text's own examples.
mod examples {
    /// "an example of a Bulk payload that could be sent to create a provider"
    pub(crate) const CREATE: &str = r#"{
    "operations": [
        {
            "action": "CREATE",
            "create": {
                "type": "provider",
              	"data": {
                    "name": "John Doe",
                    "practiceNumber": 1020993,
                    "specialities": [
                        "Pharmacist"
                    ]
               	}
            }
        }
    ]
}"#;

    /// "an example of a Bulk payload that could be sent to upsert a provider"
    pub(crate) const UPSERT: &str = r#"{
    "operations": [
        {
            "action": "UPSERT",
            "upsert": {
              	"id": "2eVocVVgjAWYJ74DifXluwVtSYs",
                "type": "provider",
              	"data": {
                    "name": "John Doe",
                    "practiceNumber": 1020993,
                    "specialities": [
                        "Pharmacist"
                    ]
               	}
            }
        }
    ]
}"#;

    /// The same under *Delete Operation*.
    pub(crate) const DELETE: &str = r#"{
    "operations": [
        {
            "action": "DELETE",
            "delete": {
              	"id": "2eVocVVgjAWYJ74DifXluwVtSYs",
                "type": "provider"
            }
        }
    ]
}"#;

    /// "A Bulk Request contains a list of operations", without its comments.
    pub(crate) const REQUEST: &str = r#"{
   "operations":[
      {
         "action":"CREATE",
         "create":{
         }
      },
      {
         "action":"UPSERT",
         "upsert":{
         }
      },
      {
         "action":"DELETE",
         "delete":{
         }
      }
   ]
}"#;

    /// One operation under *Create Resource Operation*, without its comments.
    pub(crate) const CREATE_OPERATION: &str = r#"{
   "action":"CREATE",
   "create":{
      "id": "<resourceId>",
      "type":"<resourceType>",
      "data":{
      },
     	"contained": {
      }
   }
}"#;

    /// One operation under *Upsert Operation*, without its comments.
    pub(crate) const UPSERT_OPERATION: &str = r#"{
    "action": "UPSERT",
    "upsert": {
        "id": "<resourceId>",
        "type": "<resourceType>",
        "data": {
        }
    }
}"#;

    /// One operation under *Delete Operation*.
    pub(crate) const DELETE_OPERATION: &str = r#"{
    "action": "DELETE",
    "delete": {
        "type": "<resourceType>",
        "id": "<resourceId>"
    }
}"#;

    /// The id of the provider that the examples upsert and delete.
    pub(crate) const ID: &str = "2eVocVVgjAWYJ74DifXluwVtSYs";
}
