//! Header blocks of SPDY/3: names and values, compressed with a dictionary and one context a direction.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Largest block, uncompressed.
const LARGEST: usize = 64 * 1024;

/// Names and values that blocks often hold, each with its length before it (SPDY/3, section 2.6.10.1).
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age \
    allow authorization cache-control connection content-base content-encoding content-language content-length \
    content-location content-md5 content-range content-type date etag expect expires from host if-match \
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";
/// What follows them.
const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
    Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 \
    Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept \
    Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, \
    GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
    text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    for word in WORDS.split_whitespace().map(|word| word.replace('_', " ")) {
        bytes.extend((word.len() as u32).to_be_bytes());
        bytes.extend(word.as_bytes());
    }
    bytes.extend(REST.as_bytes());
    bytes
});

/// Reads the blocks of one direction, in order.
#[derive(Debug)]
pub struct Reader(Decompress);

impl Reader {
    pub fn new() -> Reader {
        Reader(Decompress::new(true))
    }

    /// The headers of the next block; `None` if it can't be read.
    pub fn read(&mut self, mut block: &[u8]) -> Option<BTreeMap<String, String>> {
        let (mut plain, mut chunk) = (Vec::new(), vec![0; 4096]);
        loop {
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            let status = match self.0.decompress(block, &mut chunk, FlushDecompress::Sync) {
                Ok(status) => status,
                Err(error) => {
                    error.needs_dictionary()?;
                    self.0.set_dictionary(&DICTIONARY).ok()?;
                    Status::Ok
                }
            };
            let (took, gave) = (self.0.total_in() - before_in, self.0.total_out() - before_out);
            block = block.get(took as usize..)?;
            plain.extend(chunk.get(..gave as usize)?);
            if plain.len() > LARGEST {
                return None;
            }
            let done = block.is_empty() && (gave as usize) < chunk.len();
            if done || status == Status::StreamEnd || (status == Status::BufError && took == 0 && gave == 0) {
                return parse(&plain);
            }
        }
    }
}

fn parse(mut plain: &[u8]) -> Option<BTreeMap<String, String>> {
    let count = number(&mut plain)?;
    let mut headers = BTreeMap::new();
    for _ in 0..count {
        let (name, value) = (text(&mut plain)?, text(&mut plain)?);
        headers.insert(name, value);
    }
    Some(headers)
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (first, rest) = bytes.split_at_checked(4)?;
    *bytes = rest;
    Some(u32::from_be_bytes(first.try_into().ok()?))
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(number(bytes)?).ok()?;
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(first.to_vec()).ok()
}

/// Writes the blocks of one direction, in order.
#[derive(Debug)]
pub struct Writer(Compress);

impl Writer {
    /// `None` if there can't be one.
    pub fn new() -> Option<Writer> {
        let mut compress = Compress::new(Compression::default(), true);
        compress.set_dictionary(&DICTIONARY).ok()?;
        Some(Writer(compress))
    }

    /// A block with these headers.
    pub fn write(&mut self, headers: &[(&str, &str)]) -> Option<Vec<u8>> {
        let mut plain = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend((text.len() as u32).to_be_bytes());
            plain.extend(text.as_bytes());
        }
        let mut block = Vec::with_capacity(plain.len() + 64);
        let before = self.0.total_in();
        while self.0.total_in() - before < plain.len() as u64 {
            let from = (self.0.total_in() - before) as usize;
            self.0.compress_vec(&plain[from..], &mut block, FlushCompress::Sync).ok()?;
            block.reserve(64);
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_that_of_spdy_3() {
        assert_eq!(DICTIONARY.len(), 1423);
        // The first block names its dictionary by Adler-32.
        let block = Writer::new().unwrap().write(&[]).unwrap();
        assert_eq!(block[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
    }

    #[test]
    fn blocks_come_back() {
        let (mut writer, mut reader) = (Writer::new().unwrap(), Reader::new());
        for (port, request) in [("8080", "0"), ("8080", "1"), ("80", "2")] {
            let headers = [("port", port), ("requestid", request), ("streamtype", "data")];
            let read = reader.read(&writer.write(&headers).unwrap()).unwrap();
            let expected = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(read, BTreeMap::from(expected));
        }
        assert!(Reader::new().read(b"nothing of the kind").is_none());
    }
}
