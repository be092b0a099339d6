//! An open blob. It belongs to the process that opened it: when that ends, the handle is dead, and nothing that is still
//! done with it has an effect.

use super::{
    disk::{self, Disk},
    machine::Life,
    pages::{PAGE, Pages},
};
use commonware_formatting::hex;
use commonware_runtime::{
    Buf as _, BufMut as _, Error, Handle, IoBufMut, IoBufs, IoBufsMut, ReadOptions, Spawner as _,
    Supervisor as _, WriteOptions,
};
use commonware_utils::channel::oneshot;
use std::sync::Arc;

/// An open blob.
pub struct Blob {
    access: Access,
    /// Number of this open.
    open: u64,
}

/// What operations need, and keep if they outlast the handle.
#[derive(Clone)]
struct Access {
    disk: Disk,
    life: Life,
    /// Partition and name, for errors.
    key: Arc<(String, Vec<u8>)>,
    /// Number of the file.
    file: u64,
}

impl Drop for Blob {
    fn drop(&mut self) {
        self.access.disk.close(self.access.file, self.open);
    }
}

impl Access {
    /// Reads within the blob's length.
    async fn read(
        &self,
        offset: u64,
        len: usize,
        options: ReadOptions,
        out: impl FnOnce(&Pages),
    ) -> Result<(), Error> {
        extent(offset, len)?;
        self.disk.operate(&self.life).await?;
        self.disk.read(self.file, offset, len, options, out)
    }

    /// Syncs what was changed up to `mark`.
    async fn sync(&self, mark: u64) -> Result<(), Error> {
        self.disk.operate(&self.life).await?;
        self.disk.sync(self.file, mark, &self.key)
    }

    /// The changes up to now, if they wait for a sync; an error if none can help any more.
    fn mark(&self) -> Result<Option<u64>, Error> {
        self.life.check()?;
        self.disk.change(self.file, |_, file| match &file.failed {
            Some(failed) => Err(failed.clone()),
            None => Ok(file.dirty().then(|| file.mark())),
        })
    }
}

impl Blob {
    pub(super) fn new(disk: Disk, life: Life, key: (String, Vec<u8>), file: u64, open: u64) -> Self {
        Self { access: Access { disk, life, key: Arc::new(key), file }, open }
    }
}

/// Files end before 2^63, their headers included.
fn extent(offset: u64, len: usize) -> Result<(), Error> {
    let end = offset.checked_add(len as u64).and_then(|end| end.checked_add(PAGE as u64));
    end.filter(|end| i64::try_from(*end).is_ok()).map(|_| ()).ok_or(Error::OffsetOverflow)
}

impl commonware_runtime::Blob for Blob {
    async fn read_at(&self, offset: u64, len: usize, options: ReadOptions) -> Result<IoBufsMut, Error> {
        let mut buf = None;
        let fill = |pages: &Pages| pages.read(offset, buf.insert(IoBufMut::zeroed(len)).as_mut());
        self.access.read(offset, len, options, fill).await?;
        Ok(buf.expect("a read that succeeded has read").into())
    }

    /// Reads into the buffers given if they are one, or empty, or as long as what is read; otherwise into one of its own.
    async fn read_at_buf(
        &self,
        offset: u64,
        len: usize,
        bufs: impl Into<IoBufsMut> + Send,
        options: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        let mut bufs = bufs.into();
        assert!(bufs.capacity() >= len, "a read needs room");
        if let Some(buf) = bufs.as_single_mut() {
            let fill = |pages: &Pages| {
                buf.clear();
                buf.put_bytes(0, len);
                pages.read(offset, buf.as_mut());
            };
            self.access.read(offset, len, options, fill).await?;
            return Ok(bufs);
        }
        let read = self.read_at(offset, len, options).await?.coalesce();
        match bufs.remaining() {
            0 => bufs.put_slice(read.as_ref()),
            readable if readable == len => bufs.copy_from_slice(read.as_ref()),
            _ => return Ok(read.into()),
        }
        Ok(bufs)
    }

    async fn write_at(
        &self,
        offset: u64,
        bufs: impl Into<IoBufs> + Send,
        options: WriteOptions,
    ) -> Result<(), Error> {
        let bytes = bufs.into().coalesce();
        extent(offset, bytes.len())?;
        if bytes.is_empty() {
            return Ok(());
        }
        let sync = options.contains(WriteOptions::SYNC);
        let open = &self.access;
        open.disk.operate(&open.life).await?;
        open.disk.change(open.file, |state, file| {
            if let Some(failed) = file.failed.clone().filter(|_| sync) {
                return Err(failed);
            }
            let (fits, error) = state.admit(file, offset, bytes.len() as u64);
            let Some(error) = error else {
                file.write(offset, bytes, sync);
                return Ok(());
            };
            if fits > 0 {
                file.write(offset, bytes.slice(..fits as usize), false);
            }
            let error = Arc::new(error);
            if sync {
                disk::poison(file, &open.key, error.clone());
            }
            Err(Error::Io(error))
        })
    }

    async fn resize(&self, len: u64) -> Result<(), Error> {
        extent(len, 0)?;
        let open = &self.access;
        open.disk.operate(&open.life).await?;
        open.disk.change(open.file, |state, file| {
            let (_, error) = state.admit(file, 0, 0);
            if let Some(error) = error {
                return Err(Error::BlobResizeFailed(open.key.0.clone(), hex(&open.key.1), error.into()));
            }
            file.resize(len);
            Ok(())
        })
    }

    async fn sync(&self) -> Result<(), Error> {
        match self.access.mark()? {
            Some(mark) => self.access.sync(mark).await,
            None => Ok(()),
        }
    }

    async fn start_sync(&self) -> Handle<()> {
        let mark = match self.access.mark() {
            Ok(Some(mark)) => mark,
            Ok(None) => return Handle::ready(Ok(())),
            Err(error) => return Handle::ready(Err(error)),
        };
        if self.access.disk.immediate() {
            return Handle::ready(self.access.sync(mark).await);
        }
        let (done, synced) = oneshot::channel();
        let open = self.access.clone();
        // Ends by itself when the process does: then the disk refuses.
        let _syncing = self.access.disk.context().child("sync").spawn(move |_| async move {
            let _ = done.send(open.sync(mark).await);
        });
        Handle::from_receiver(synced)
    }
}
