// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Text that the engine's CSV reader cannot take as it is → text that it can, as a stream.
//!
//! Two things are put right on the way: the character encoding (to UTF-8), and columns set apart by runs of blanks
//! (to one tab). Both change the bytes before they are parsed, so they live in an object store laid over the file
//! system under the scheme `comptoir-text`; the scan above it stays DataFusion's own. What is to be done is written in
//! the URL's host (`comptoir-text://gz.windows-1252.plain/data/orders.csv.gz`), so a plan carries it to another
//! process, which only has to call [`register`] with the URL.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use super::options::Compression;
use crate::error::{Error, Result};

/// What the bytes of a text file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) compression: Compression,
    pub(super) encoding: &'static Encoding,
    /// Columns are set apart by runs of blanks.
    pub(super) blanks: bool,
}

impl Form {
    /// Whether the engine's reader can take the file as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.encoding == UTF_8 && !self.blanks
    }

    /// The store that gives files of this form, which lie in the store `base`, as plain text.
    pub(super) fn url(&self, base: &ObjectStoreUrl) -> Result<ObjectStoreUrl> {
        let blanks = if self.blanks { "blanks" } else { "plain" };
        let encoding = self.encoding.name().to_ascii_lowercase();
        // The base is written in digits, for it may hold any character.
        let base = match *base == ObjectStoreUrl::local_filesystem() {
            true => String::new(),
            false => base.as_str().bytes().map(|byte| format!("{byte:02x}")).collect(),
        };
        let url = format!("{SCHEME}://{}.{encoding}.{blanks}-{base}", self.compression.name());
        Ok(ObjectStoreUrl::parse(url)?)
    }

    /// Reads back what [`Self::url`] wrote.
    pub(super) fn of_url(url: &url::Url) -> Option<Self> {
        if url.scheme() != SCHEME {
            return None;
        }
        let (compression, rest) = url.host_str()?.split_once('.')?;
        let (encoding, blanks) = rest.rsplit_once('.')?;
        let (blanks, _) = blanks.split_once('-')?;
        Some(Self {
            compression: Compression::parse(compression).ok()?,
            encoding: Encoding::for_label(encoding.as_bytes())?,
            blanks: blanks == "blanks",
        })
    }

    /// Opens a file as plain text.
    pub(super) fn open(&self, path: &FilePath) -> Result<Box<dyn BufRead + Send>> {
        let file = super::files::open(path)?;
        let read =
            self.compression.engine().convert_read(BufReader::with_capacity(BUFFER, file))?;
        Ok(if self.is_plain() {
            Box::new(BufReader::with_capacity(BUFFER, read))
        } else {
            let rewriter = Rewriter::new(self);
            Box::new(BufReader::with_capacity(
                BUFFER,
                Rewritten { read, rewriter, out: vec![], at: 0, ended: false },
            ))
        })
    }
}

/// The store under the store of a form.
pub(super) fn base(url: &url::Url) -> Option<String> {
    let (_, digits) = url.host_str().filter(|_| url.scheme() == SCHEME)?.rsplit_once('-')?;
    if digits.is_empty() {
        return Some("file://".into());
    }
    let byte = |i: usize| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    let base = String::from_utf8(bytes?).ok()?;
    Some(base.trim_end_matches('/').to_string())
}

/// Makes the store of a form over another store known to a session's runtime.
pub(super) fn register(
    form: &Form,
    base: &ObjectStoreUrl,
    runtime: &RuntimeEnv,
) -> Result<ObjectStoreUrl> {
    let url = form.url(base)?;
    let files = runtime.object_store(base)?;
    runtime.register_object_store(url.as_ref(), Arc::new(TextStore { form: *form, files }));
    Ok(url)
}

const SCHEME: &str = "comptoir-text";
const BUFFER: usize = 256 * 1024;

/// Bytes that mean nothing in the encoding they are said to be in.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) line: u64,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is not in the declared encoding", self.line)
    }
}

impl std::error::Error for Malformed {}

/// Rewrites text chunk by chunk; a character or a run of blanks may be cut anywhere.
struct Rewriter {
    decoder: Decoder,
    blanks: Option<Blanks>,
    line: u64,
}

#[derive(Clone, Copy, Default)]
struct Blanks {
    in_line: bool,
    pending: bool,
    quoted: bool,
}

impl Rewriter {
    fn new(form: &Form) -> Self {
        Self {
            decoder: form.encoding.new_decoder_with_bom_removal(),
            blanks: form.blanks.then(Blanks::default),
            line: 1,
        }
    }

    fn push(&mut self, mut input: &[u8], last: bool) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::with_capacity(input.len() + input.len() / 2 + 64);
        loop {
            let start = out.len();
            out.resize(start + input.len() + input.len() / 2 + 64, 0);
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(input, &mut out[start..], last);
            out.truncate(start + written);
            self.line += out[start..].iter().filter(|byte| **byte == b'\n').count() as u64;
            input = &input[read..];
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => return Err(Malformed { line: self.line }),
            }
        }
        Ok(match &mut self.blanks {
            None => out,
            Some(blanks) => blanks.squeeze(&out),
        })
    }
}

impl Blanks {
    fn squeeze(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        for &byte in text {
            match byte {
                b' ' | b'\t' if !self.quoted => self.pending = true,
                b'\n' | b'\r' if !self.quoted => {
                    (self.in_line, self.pending) = (false, false);
                    out.push(byte);
                }
                _ => {
                    if self.pending && self.in_line {
                        out.push(b'\t');
                    }
                    // A quote opens a value only where a value begins; elsewhere it is an inch.
                    let begins = self.pending || !self.in_line;
                    if byte == b'"' {
                        self.quoted = begins && !self.quoted;
                    }
                    (self.in_line, self.pending) = (true, false);
                    out.push(byte);
                }
            }
        }
        out
    }
}

/// The rewriter as a reader, for guessing types and for finding the guilty line.
struct Rewritten {
    read: Box<dyn Read + Send>,
    rewriter: Rewriter,
    out: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for Rewritten {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.out.len() && !self.ended {
            let mut chunk = vec![0; BUFFER];
            let length = self.read.read(&mut chunk)?;
            self.ended = length == 0;
            let pushed = self.rewriter.push(&chunk[..length], self.ended);
            self.out = pushed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.at = 0;
        }
        let length = buffer.len().min(self.out.len() - self.at);
        buffer[..length].copy_from_slice(&self.out[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// Files of one form, given as plain text. Only whole files can be read: a byte range of the result is not a byte range
/// of the file, and a table over this store says so by allowing line breaks in values.
#[derive(Debug)]
struct TextStore {
    form: Form,
    files: Arc<dyn ObjectStore>,
}

impl fmt::Display for TextStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text in {}", self.form.encoding.name())
    }
}

fn refused(what: &str) -> object_store::Error {
    let error = Error::query(format!(
        "{what} is not possible on a text file that is rewritten as it is read"
    ));
    object_store::Error::Generic { store: "comptoir-text", source: Box::new(error) }
}

fn generic(error: DataFusionError) -> object_store::Error {
    match error {
        DataFusionError::ObjectStore(error) => *error,
        error => object_store::Error::Generic { store: "comptoir-text", source: Box::new(error) },
    }
}

#[async_trait]
impl ObjectStore for TextStore {
    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        if options.head {
            return self.files.get_opts(location, options).await;
        }
        if options.range.is_some() {
            return Err(refused("reading a byte range"));
        }
        let whole = self.files.get_opts(location, options).await?;
        let (meta, range, attributes) =
            (whole.meta.clone(), whole.range.clone(), whole.attributes.clone());
        let bytes = whole.into_stream().map_err(DataFusionError::from).boxed();
        let unpacked = self.form.compression.engine().convert_stream(bytes).map_err(generic)?;
        let rewriter = Rewriter::new(&self.form);
        let text = futures::stream::try_unfold(
            (unpacked, Some(rewriter)),
            async |(mut input, rewriter)| {
                let Some(mut rewriter) = rewriter else { return Ok(None) };
                let chunk = input.try_next().await.map_err(generic)?;
                let pushed = rewriter.push(chunk.as_deref().unwrap_or_default(), chunk.is_none());
                let out = pushed.map_err(|error| object_store::Error::Generic {
                    store: "comptoir-text",
                    source: Box::new(error),
                })?;
                let rest = chunk.map(|_| rewriter);
                Ok(Some((Bytes::from(out), (input, rest))))
            },
        );
        let payload = GetResultPayload::Stream(text.boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn put_opts(
        &self,
        _: &Path,
        _: PutPayload,
        _: PutOptions,
    ) -> object_store::Result<PutResult> {
        Err(refused("writing"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(refused("writing"))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        futures::stream::once(async { Err(refused("deleting")) }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(refused("copying"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(encoding: &str, blanks: bool) -> Form {
        let encoding = Encoding::for_label(encoding.as_bytes()).unwrap();
        Form { compression: Compression::None, encoding, blanks }
    }

    fn rewrite(form: &Form, bytes: &[u8]) -> Result<String, u64> {
        // Byte by byte, so that every character and every run is cut.
        let mut rewriter = Rewriter::new(form);
        let mut out = vec![];
        for byte in bytes {
            out.extend(rewriter.push(&[*byte], false).map_err(|error| error.line)?);
        }
        out.extend(rewriter.push(&[], true).map_err(|error| error.line)?);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn encodings_and_blanks() {
        assert_eq!(rewrite(&form("windows-1252", false), b"caf\xe9 \x80"), Ok("café €".into()));
        assert_eq!(rewrite(&form("utf-16le", false), b"\xff\xfea\0\xe9\0"), Ok("aé".into()));
        assert_eq!(rewrite(&form("shift_jis", false), b"a\n\x81\xff"), Err(2));
        let text = b" id  date \t n\r\n 1 2  3\" 4 \r\n\"a  b\" c";
        assert_eq!(
            rewrite(&form("utf-8", true), text),
            Ok("id\tdate\tn\r\n1\t2\t3\"\t4\r\n\"a  b\"\tc".into())
        );
    }

    #[test]
    fn the_url_says_it_all() {
        for label in ["windows-1252", "utf-16le", "iso-8859-8-i", "gb18030", "x-user-defined"] {
            for compression in [Compression::None, Compression::Gz] {
                let form = Form { compression, ..form(label, true) };
                for base in ["file://", "s3://my-bucket.2/"] {
                    let store = ObjectStoreUrl::parse(base).unwrap();
                    let url = url::Url::parse(form.url(&store).unwrap().as_str()).unwrap();
                    assert_eq!(Form::of_url(&url), Some(form));
                    let found = super::base(&url).unwrap();
                    assert_eq!(found.trim_end_matches('/'), base.trim_end_matches('/'));
                }
            }
        }
    }
}
