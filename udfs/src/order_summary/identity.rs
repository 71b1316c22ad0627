// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! From an order id of any type to 64 bits: the value itself where it fits, else a hash.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type, Int64Type, UInt32Type, UInt64Type};
use datafusion_common::Result;
use datafusion_common::hash_utils::{QualityRandomState, create_hashes};

/// The seed is fixed because hashes made in one partition or process are compared with those of
/// another. The quality state, not the fast one, because here two equal hashes are taken for two
/// equal ids.
const HASH: QualityRandomState = QualityRandomState::with_seed(0x636f_6d70_746f_6972);

/// The identity of each order id; NULL for a NULL id.
///
/// Integers are their own identity, so that they never collide. Strings are hashed from their
/// bytes, whatever their encoding: `create_hashes` would not do, it hashes a short `Utf8View` as a
/// number and so differs from `Utf8`.
pub(crate) fn identities(ids: &ArrayRef) -> Result<UInt64Array> {
    let array = match ids.data_type() {
        DataType::Null => UInt64Array::new_null(ids.len()),
        DataType::Int64 => ids.as_primitive::<Int64Type>().unary(i64::cast_unsigned),
        DataType::UInt64 => ids.as_primitive::<UInt64Type>().clone(),
        DataType::Int32 => {
            ids.as_primitive::<Int32Type>().unary(|id| i64::from(id).cast_unsigned())
        }
        DataType::UInt32 => ids.as_primitive::<UInt32Type>().unary(u64::from),
        DataType::Utf8 => hash_strings(ids, ids.as_string::<i32>().iter()),
        DataType::LargeUtf8 => hash_strings(ids, ids.as_string::<i64>().iter()),
        DataType::Utf8View => hash_strings(ids, ids.as_string_view().iter()),
        DataType::Dictionary(_, _) => {
            let dictionary = ids.as_any_dictionary();
            let values = identities(dictionary.values())?;
            take(&values, dictionary.keys(), None)?.as_primitive::<UInt64Type>().clone()
        }
        _ => {
            let mut hashes = vec![0; ids.len()];
            create_hashes([ids], &HASH, &mut hashes)?;
            UInt64Array::new(hashes.into(), ids.logical_nulls())
        }
    };
    Ok(array)
}

fn hash_strings<'a>(ids: &ArrayRef, strings: impl Iterator<Item = Option<&'a str>>) -> UInt64Array {
    let hashes: Vec<u64> = strings.map(|id| id.map_or(0, |id| HASH.hash_one(id))).collect();
    UInt64Array::new(hashes.into(), ids.nulls().cloned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, DictionaryArray, NullArray, StringArray};
    use arrow::compute::cast;
    use arrow::datatypes::Int8Type;

    use super::*;

    #[test]
    fn every_string_encoding_has_the_same_identity() -> Result<()> {
        let strings = vec![
            Some("a"),
            None,
            Some(""),
            Some("exactly12byt"),
            Some("more than twelve bytes"),
            Some("a"),
        ];
        let utf8: ArrayRef = Arc::new(StringArray::from(strings.clone()));
        let expected = identities(&utf8)?;
        assert_eq!(expected.null_count(), 1);
        assert_eq!(expected.value(0), expected.value(5));
        for encoding in [DataType::LargeUtf8, DataType::Utf8View] {
            assert_eq!(expected, identities(&cast(&utf8, &encoding)?)?, "{encoding}");
        }
        let dictionary: DictionaryArray<Int8Type> = strings.into_iter().collect();
        assert_eq!(expected, identities(&(Arc::new(dictionary) as ArrayRef))?);
        // Pinned: state written by one process is merged by another.
        assert_eq!(
            expected.value(0),
            identities(&(Arc::new(StringArray::from(vec!["a"])) as ArrayRef))?.value(0)
        );
        Ok(())
    }

    #[test]
    fn nulls_have_no_identity() -> Result<()> {
        let none: ArrayRef = Arc::new(NullArray::new(3));
        assert_eq!(identities(&none)?.null_count(), 3);
        let some: ArrayRef = Arc::new(Decimal128Array::from(vec![Some(1), None, Some(1), Some(2)]));
        let some = identities(&some)?;
        assert!(
            some.is_null(1) && some.value(0) == some.value(2) && some.value(0) != some.value(3)
        );
        Ok(())
    }
}
