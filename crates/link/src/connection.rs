//! A server's established connection: reads requests while there is room, runs each in a task of its own,
//! writes the responses.

use crate::{
    Context, Handler, Limits, Reason, Response,
    cipher::Aes256Gcm,
    frame::{self, Malformed, RequestHeader, Status, ToServer},
    limits::BATCH_MESSAGES,
    room::{Reserved, Room},
    server::Activity,
    session::{Reader, Writer},
};
use bytes::Bytes;
use commonware_cryptography::ed25519::PublicKey;
use commonware_macros::select;
use commonware_runtime::{IoBufs, Sink, Stream};
use commonware_stream::cups;
use commonware_utils::{
    channel::{mpsc, oneshot},
    sync::Mutex,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub(crate) struct Connection<E, H> {
    pub(crate) context: E,
    pub(crate) peer: PublicKey,
    pub(crate) limits: Limits,
    pub(crate) activity: Arc<Activity>,
    pub(crate) room: Room,
    pub(crate) handler: H,
}

/// A response on its way to the peer, with the room its request took.
struct Answer {
    frame: IoBufs,
    _reserved: Reserved,
}

/// Requests being handled. Dropping a sender cancels its request.
type Handling = Arc<Mutex<BTreeMap<u64, oneshot::Sender<()>>>>;

impl<E: Context, H: Handler> Connection<E, H> {
    /// Runs until the connection ends. The caller's task must end then: it takes the requests' tasks with it.
    pub(crate) async fn run<I: Stream, O: Sink>(
        self,
        sender: cups::Sender<Aes256Gcm, O>,
        receiver: cups::Receiver<Aes256Gcm, I>,
    ) -> Reason {
        // The queue needs no bound of its own: each answer in it holds a reservation.
        let (answers, queue) = mpsc::unbounded_channel();
        let writer = Writer { context: self.context.child("writer"), limits: self.limits.clone(), sender };
        let mut writing = self.context.child("writing").spawn(move |_| write(writer, queue));
        let reader = Reader { context: self.context.child("reader"), limits: self.limits.clone(), receiver };
        let reason = select! {
            reason = self.read(reader, answers) => reason,
            reason = &mut writing => reason.unwrap_or(Reason::ShutDown),
        };
        writing.abort();
        reason
    }

    /// Reads frames until the connection breaks. Stops reading while there is no room.
    async fn read<I: Stream>(
        &self,
        mut reader: Reader<E, I>,
        answers: mpsc::UnboundedSender<Answer>,
    ) -> Reason {
        let handling = Handling::default();
        loop {
            let received = match reader.next().await {
                Ok(message) => ToServer::decode(message),
                Err(reason) => return reason,
            };
            match received {
                Ok(ToServer::Keepalive) => {}
                // A request answered meanwhile is not there any more.
                Ok(ToServer::Cancel(id)) => drop(handling.lock().remove(&id)),
                Ok(ToServer::Request(header, _)) if handling.lock().contains_key(&header.id) => {
                    return Malformed::IdInUse(header.id).into();
                }
                Ok(ToServer::Request(header, body)) => {
                    self.activity.note(self.context.current());
                    let reserved = self.room.reserve(body.len(), header.reply_max).await;
                    self.spawn(header, body, reserved, &handling, answers.clone());
                }
                Err(malformed) => return malformed.into(),
            }
        }
    }

    /// Handles one request in a task of its own.
    fn spawn(
        &self,
        header: RequestHeader,
        body: Bytes,
        reserved: Reserved,
        handling: &Handling,
        answers: mpsc::UnboundedSender<Answer>,
    ) {
        let (keep, cancelled) = oneshot::channel();
        handling.lock().insert(header.id, keep);
        let timeout = Duration::from_millis(header.timeout_ms.into()).min(self.limits.request_timeout);
        let (peer, handler, handling) = (self.peer.clone(), self.handler.clone(), handling.clone());
        self.context.child("request").spawn(move |context| async move {
            let response = select! {
                response = handler.handle(&peer, header.lane, body) => Some(response),
                _ = cancelled => None,
                _ = context.sleep(timeout) => None,
            };
            handling.lock().remove(&header.id);
            if let Some(response) = response {
                let frame = answer(header, response);
                // The connection may have ended meanwhile.
                let _ = answers.send(Answer { frame, _reserved: reserved });
            }
        });
    }
}

/// The frame that answers a request, within what its caller reserved.
fn answer(header: RequestHeader, Response { status, body }: Response) -> IoBufs {
    if body.len() > header.reply_max as usize {
        frame::response(header.id, Status::ReplyTooLarge, IoBufs::default())
    } else {
        frame::response(header.id, status, body)
    }
}

/// Greets, then writes answers until the connection breaks.
async fn write<E: Context, O: Sink>(
    mut writer: Writer<E, O>,
    mut queue: mpsc::UnboundedReceiver<Answer>,
) -> Reason {
    if let Err(reason) = writer.keepalive().await {
        return reason;
    }
    let mut taken = Vec::with_capacity(BATCH_MESSAGES);
    loop {
        let quiet = writer.context.sleep(writer.limits.keepalive);
        let written = select! {
            count = queue.recv_many(&mut taken, BATCH_MESSAGES) => {
                if count == 0 {
                    return Reason::ShutDown;
                }
                // The reservations go when all are written.
                let (frames, _reserved): (Vec<_>, Vec<_>) =
                    taken.drain(..).map(|answer: Answer| (answer.frame, answer._reserved)).unzip();
                writer.write(frames).await
            },
            _ = quiet => writer.keepalive().await,
        };
        if let Err(reason) = written {
            return reason;
        }
    }
}
