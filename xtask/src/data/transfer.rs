//! One file over HTTP into a `.part` file: resumed, retried, never longer than announced.
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, header};
use ureq::{Agent, Body};

use super::progress::Progress;

/// How hard to try against a bad connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts in a row without one new byte.
    pub attempts: u32,
    /// The wait before the second attempt; doubled before each further one.
    pub first_wait: Duration,
}

/// The longest wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Why a transfer did not end well. What has come is kept for the next call.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The connection or the server failed in a way that may pass.
    #[error("{0}")]
    Temporary(String),
    /// The connection kept failing.
    #[error(
        "{url}: {attempts} attempts without one new byte, the last: {last}. \
         Check the connection and repeat the command; it goes on where it stopped"
    )]
    GaveUp { url: String, attempts: u32, last: String },
    /// The server answered, and the answer will not change.
    #[error("{url}: the server answered {status}. {remedy}")]
    Refused { url: String, status: u16, remedy: &'static str },
    /// The client refused to go on (redirects, certificates, address).
    #[error("{url}: {reason}")]
    Unusable { url: String, reason: String },
    /// The server's file is not the manifest's.
    #[error(
        "{url}: the server has {found} bytes, the manifest says {expected}. \
         The published file has changed: compare the data set's page with manifest.toml"
    )]
    WrongLength { url: String, expected: u64, found: String },
    /// The disk would not take it.
    #[error("{}: {source}. Free space or choose another folder with --data, then repeat", .path.display())]
    Disk { path: PathBuf, source: io::Error },
}

/// How a file came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// In one answer: all of it is of one version.
    One,
    /// In several, perhaps of several versions.
    Several,
}

/// A file on its way.
pub struct Transfer<'a> {
    /// Where it comes from.
    pub url: &'a str,
    /// Where it is gathered.
    pub part: &'a Path,
    /// How long it must be in the end.
    pub bytes: u64,
    /// Who is told.
    pub progress: &'a Progress,
}

impl Transfer<'_> {
    /// Brings `file` (the open `.part`) to its full length; says whether one answer held all of it.
    pub fn run(
        &self,
        agent: &Agent,
        file: &mut File,
        patience: Patience,
    ) -> Result<Pieces, TransferError> {
        let mut furthest = self.length(file)?;
        let mut failures = 0;
        let mut wait = patience.first_wait;
        loop {
            let reason = match self.attempt(agent, file) {
                Err(TransferError::Temporary(reason)) => reason,
                ended => return ended,
            };
            let length = self.length(file)?;
            if length > furthest {
                (furthest, failures, wait) = (length, 0, patience.first_wait);
            }
            failures += 1;
            if failures >= patience.attempts {
                let url = self.url.to_string();
                return Err(TransferError::GaveUp { url, attempts: failures, last: reason });
            }
            self.progress.note(&format!("{reason}; again in {:.1} s", wait.as_secs_f64()));
            sleep(wait);
            wait = (wait * 2).min(MAX_WAIT);
        }
    }

    /// One request: for the rest if there is a beginning, for everything otherwise.
    fn attempt(&self, agent: &Agent, file: &mut File) -> Result<Pieces, TransferError> {
        let mut have = self.length(file)?;
        if have > self.bytes {
            self.truncate(file)?;
            have = 0;
        }
        if have == self.bytes {
            return Ok(Pieces::Several);
        }
        let mut request = agent.get(self.url).header(header::ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            if let Ok(validator) = fs::read_to_string(self.validator_path()) {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let response = request.call().map_err(|error| self.client_error(error))?;
        let pieces = match response.status().as_u16() {
            206 if have > 0 => {
                self.expect_rest(response.headers(), have, file)?;
                Pieces::Several
            }
            200 => {
                self.expect_everything(response.headers(), file)?;
                Pieces::One
            }
            416 => {
                self.truncate(file)?;
                return Err(TransferError::Temporary("the server cannot resume it".into()));
            }
            status => return Err(self.refusal(status)),
        };
        self.receive(response, file)?;
        Ok(pieces)
    }

    /// A partial answer must begin where the `.part` ends and belong to a file of the right length.
    fn expect_rest(
        &self,
        headers: &HeaderMap,
        have: u64,
        file: &mut File,
    ) -> Result<(), TransferError> {
        let range = text(headers, header::CONTENT_RANGE).and_then(content_range);
        match range {
            Some((start, total)) if start == have && total == self.bytes => Ok(()),
            Some((_, total)) if total != self.bytes => Err(self.wrong_length(total.to_string())),
            _ => {
                self.truncate(file)?;
                Err(TransferError::Temporary("the server resumed elsewhere than asked".into()))
            }
        }
    }

    /// A complete answer replaces whatever had come before.
    fn expect_everything(&self, headers: &HeaderMap, file: &mut File) -> Result<(), TransferError> {
        let announced =
            text(headers, header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        if let Some(length) = announced.filter(|length| *length != self.bytes) {
            return Err(self.wrong_length(length.to_string()));
        }
        self.truncate(file)?;
        if let Some(validator) = validator(headers) {
            let path = self.validator_path();
            fs::write(&path, validator).map_err(|source| TransferError::Disk { path, source })?;
        }
        Ok(())
    }

    /// Appends the body to the `.part`.
    fn receive(&self, response: Response<Body>, file: &mut File) -> Result<(), TransferError> {
        let mut body = response.into_body().into_reader();
        let mut have = self.length(file)?;
        let mut buffer = vec![0; 1 << 17];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) if have == self.bytes => return Ok(()),
                Ok(0) => return Err(TransferError::Temporary(format!("cut after {have} bytes"))),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(TransferError::Temporary(format!(
                        "cut after {have} bytes ({error})"
                    )));
                }
            };
            have += count as u64;
            if have > self.bytes {
                self.truncate(file)?;
                return Err(self.wrong_length(format!("more than {}", self.bytes)));
            }
            file.write_all(&buffer[..count]).map_err(|source| self.disk(source))?;
            self.progress.set(have);
        }
    }

    /// Forgets everything received, for instance because its checksum is wrong.
    pub fn truncate(&self, file: &mut File) -> Result<(), TransferError> {
        match fs::remove_file(self.validator_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.disk(error)),
            _ => {}
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(|source| self.disk(source))
    }

    /// The number of bytes received so far; leaves the file's position behind them.
    fn length(&self, file: &mut File) -> Result<u64, TransferError> {
        file.seek(SeekFrom::End(0)).map_err(|source| self.disk(source))
    }

    /// Beside the `.part`: which version of the server's file its bytes belong to.
    pub fn validator_path(&self) -> PathBuf {
        super::with_ending(self.part, ".validator")
    }

    fn disk(&self, source: io::Error) -> TransferError {
        TransferError::Disk { path: self.part.to_path_buf(), source }
    }

    fn wrong_length(&self, found: String) -> TransferError {
        TransferError::WrongLength { url: self.url.to_string(), expected: self.bytes, found }
    }

    fn refusal(&self, status: u16) -> TransferError {
        let remedy = match status {
            408 | 425 | 429 | 500..=599 => {
                return TransferError::Temporary(format!("the server answered {status}"));
            }
            401 | 403 => "It asks for permission: see the data set's card.md for its terms",
            404 | 410 => {
                "The file has moved: look for it on the data set's page and correct manifest.toml"
            }
            _ => "Look at the data set's page; download it by hand if need be, then run verify",
        };
        TransferError::Refused { url: self.url.to_string(), status, remedy }
    }

    fn client_error(&self, error: ureq::Error) -> TransferError {
        use ureq::Error as E;
        let reason = match error {
            E::Io(_) | E::Timeout(_) | E::HostNotFound | E::ConnectionFailed | E::Protocol(_) => {
                return TransferError::Temporary(error.to_string());
            }
            E::TooManyRedirects => {
                "it is redirected in circles; correct base_url in manifest.toml".into()
            }
            E::RequireHttpsOnly(_) => format!("{error}; correct base_url in manifest.toml"),
            _ => error.to_string(),
        };
        TransferError::Unusable { url: self.url.to_string(), reason }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// What may stand in If-Range: a strong entity tag, else the date of the last change (RFC 9110, 13.1.5).
fn validator(headers: &HeaderMap) -> Option<&str> {
    let strong = text(headers, header::ETAG).filter(|tag| tag.starts_with('"'));
    strong.or_else(|| text(headers, header::LAST_MODIFIED))
}

/// First byte and total length of `bytes 10-99/100`.
fn content_range(value: &str) -> Option<(u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _end) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_is_read_or_refused() {
        assert_eq!(content_range("bytes 10-99/100"), Some((10, 100)));
        for wrong in ["bytes */100", "bytes 10-99/*", "10-99/100", "bytes 10/100", ""] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_weak_tag_is_no_validator() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, "W/\"a\"".parse().unwrap());
        assert_eq!(validator(&headers), None);
        headers.insert(header::LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(validator(&headers), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        headers.insert(header::ETAG, "\"b\"".parse().unwrap());
        assert_eq!(validator(&headers), Some("\"b\""));
    }
}
