//! The one canonical encoding.
//!
//! Integers are big-endian and of fixed width, sequences carry a `u32` count, enumerations a `u8` tag. Every bound is
//! part of the type ([`List`], [`Octets`]), so decoding needs no configuration and can never allocate more than the
//! type allows. Decoding is strict: unknown tags, trailing bytes and lengths out of bounds are errors, so two
//! different byte strings never decode to the same value.

use bytes::{BufMut, Bytes};
pub use commonware_codec::{
    Buf, Copying, Decode, DecodeExt, Encode, EncodeSize, Error, FixedSize, Read, ReadExt, Write,
};
use std::ops::Deref;

/// A sequence of at most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Wraps `items`, or gives them back when there are more than `MAX`.
    pub fn new(items: Vec<T>) -> Result<Self, Vec<T>> {
        if items.len() <= MAX { Ok(Self(items)) } else { Err(items) }
    }

    /// The items.
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Write, const MAX: usize> Write for List<T, MAX> {
    fn write(&self, buf: &mut impl BufMut) {
        (self.0.len() as u32).write(buf);
        for item in &self.0 {
            item.write(buf);
        }
    }
}

impl<T: EncodeSize, const MAX: usize> EncodeSize for List<T, MAX> {
    fn encode_size(&self) -> usize {
        4 + self.0.iter().map(EncodeSize::encode_size).sum::<usize>()
    }
}

impl<T: Read<Cfg = ()>, const MAX: usize> Read for List<T, MAX> {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let count = u32::read(buf)? as usize;
        if count > MAX {
            return Err(Error::InvalidLength(count));
        }
        // Reserves no more bytes than there are to read, whatever the count says. Items that are larger than their
        // encoding make the list grow as they come.
        let mut items = Vec::with_capacity(count.min(buf.remaining() / size_of::<T>().max(1)));
        for _ in 0..count {
            items.push(T::read(buf)?);
        }
        Ok(Self(items))
    }
}

/// At most `MAX` opaque bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Octets<const MAX: usize>(Bytes);

impl<const MAX: usize> Octets<MAX> {
    /// Wraps `bytes`, or gives them back when they are longer than `MAX`.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, Bytes> {
        let bytes = bytes.into();
        if bytes.len() <= MAX { Ok(Self(bytes)) } else { Err(bytes) }
    }

    /// The bytes, shared.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl<const MAX: usize> Deref for Octets<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> Write for Octets<MAX> {
    fn write(&self, buf: &mut impl BufMut) {
        (self.0.len() as u32).write(buf);
        buf.put_slice(&self.0);
    }
}

impl<const MAX: usize> EncodeSize for Octets<MAX> {
    fn encode_size(&self) -> usize {
        4 + self.0.len()
    }
}

impl<const MAX: usize> Read for Octets<MAX> {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let length = u32::read(buf)? as usize;
        if length > MAX {
            return Err(Error::InvalidLength(length));
        }
        if buf.remaining() < length {
            return Err(Error::EndOfBuffer);
        }
        Ok(Self(buf.copy_to_bytes(length)))
    }
}

/// Defines a structure and its encoding: the fields in order.
#[macro_export]
macro_rules! wire_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $fvis:vis $field:ident : $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $ty),* }

        impl $crate::wire::Write for $name {
            fn write(&self, buf: &mut impl ::bytes::BufMut) {
                $($crate::wire::Write::write(&self.$field, buf);)*
            }
        }

        impl $crate::wire::EncodeSize for $name {
            fn encode_size(&self) -> usize {
                0 $(+ $crate::wire::EncodeSize::encode_size(&self.$field))*
            }
        }

        impl $crate::wire::Read for $name {
            type Cfg = ();
            fn read_cfg(buf: &mut impl $crate::wire::Buf, _: &()) -> Result<Self, $crate::wire::Error> {
                Ok(Self { $($field: <$ty as $crate::wire::Read>::read_cfg(buf, &())?),* })
            }
        }
    };
}

/// Defines an enumeration and its encoding: a `u8` tag, then the variant's value if it has one.
///
/// A variant reads `TAG => Name` or `TAG => Name(field: Type)`.
#[macro_export]
macro_rules! wire_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$vmeta:meta])* $tag:literal => $variant:ident $(($field:ident : $ty:ty))?),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$vmeta])* $variant $(($ty))?),* }

        impl $crate::wire::Write for $name {
            fn write(&self, buf: &mut impl ::bytes::BufMut) {
                match self {
                    $(Self::$variant $(($field))? => {
                        $crate::wire::Write::write(&($tag as u8), buf);
                        $($crate::wire::Write::write($field, buf);)?
                    })*
                }
            }
        }

        impl $crate::wire::EncodeSize for $name {
            fn encode_size(&self) -> usize {
                match self {
                    $(Self::$variant $(($field))? => 1 $(+ $crate::wire::EncodeSize::encode_size($field))?,)*
                }
            }
        }

        impl $crate::wire::Read for $name {
            type Cfg = ();
            fn read_cfg(buf: &mut impl $crate::wire::Buf, _: &()) -> Result<Self, $crate::wire::Error> {
                match <u8 as $crate::wire::Read>::read_cfg(buf, &())? {
                    $($tag => Ok(Self::$variant $((<$ty as $crate::wire::Read>::read_cfg(buf, &())?))?),)*
                    tag => Err($crate::wire::Error::InvalidEnum(tag)),
                }
            }
        }
    };
}

/// Defines a fixed-size byte array type with its encoding and hexadecimal display.
#[macro_export]
macro_rules! wire_array {
    ($(#[$meta:meta])* $vis:vis struct $name:ident($size:expr)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name(pub [u8; $size]);

        impl $crate::wire::Write for $name {
            fn write(&self, buf: &mut impl ::bytes::BufMut) {
                buf.put_slice(&self.0);
            }
        }

        impl $crate::wire::FixedSize for $name {
            const SIZE: usize = $size;
        }

        impl $crate::wire::Read for $name {
            type Cfg = ();
            fn read_cfg(buf: &mut impl $crate::wire::Buf, _: &()) -> Result<Self, $crate::wire::Error> {
                Ok(Self(<[u8; $size] as $crate::wire::Read>::read_cfg(buf, &())?))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl $name {
            /// Reads the lower-case hexadecimal form that `Display` writes.
            pub fn from_hex(text: &str) -> Option<Self> {
                let text = text.as_bytes();
                if text.len() != 2 * $size {
                    return None;
                }
                let mut bytes = [0; $size];
                for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
                    *byte = $crate::wire::nibble(pair[0])? << 4 | $crate::wire::nibble(pair[1])?;
                }
                Some(Self(bytes))
            }
        }
    };
}

/// The value of one lower-case hexadecimal digit.
#[doc(hidden)]
pub fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
