//! Distinguished names as AWS prints them.
