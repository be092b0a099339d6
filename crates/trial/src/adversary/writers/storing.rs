//! Tricks with shards, manifests and receipts.

use super::{Attempt, Malefactor, Spoiled, Trick, crafted};
use blob::EncodedChunk;
use bytes::Bytes;
use chain::client::{HeadView, PayloadView, SubmitError, VersionView};
use commonware_utils::SystemTimeExt as _;
use futures::TryStreamExt as _;
use link::Lane;
use proof::{
    AvailabilityCertificate, Manifest,
    entry::VersionKind,
    transaction::{Attachment, Body, Operation, Payload, Place, PutVersion, Stored},
    wire::{DecodeExt as _, Encode as _, Octets},
};
use shards::wire::{self, Certify, Request, Response, Shard};
use vault::{Condition, Metadata};

const PUT: Lane = Lane::bulk(wire::LANE_NUMBER).reply_max(1024);
const CERTIFY: Lane = Lane::control(wire::LANE_NUMBER);

/// How often a spoiled key is read by its writer.
const READS: usize = 4;

/// An honest object, taken apart.
struct Honest {
    place: Place,
    bytes: Bytes,
    view: VersionView,
    body: Body,
    manifest: Manifest,
    certificate: AvailabilityCertificate,
}

impl<E: vault::Context> Malefactor<E> {
    /// Writes an object as everybody does. The error is what kept it from being written or read.
    async fn honest(&self, name: &str) -> Result<Honest, String> {
        let place = self.place(name);
        let bytes = Bytes::from(self.chance.junk(20_000 + self.chance.below(200_000)));
        let write = async {
            let mut writer = self.vault.put(place.clone()).await?;
            writer.write(bytes.clone()).await?;
            writer.finish(Metadata::default(), Condition::None).await
        };
        write.await.map_err(|error| error.to_string())?;
        let head = self.chain.head(self.config.tenant, &place).await.map_err(|error| error.to_string())?;
        let HeadView::Object(view) = head else { return Err("it is not there".into()) };
        let (VersionKind::Object(body), PayloadView::Manifest(manifest)) =
            (view.entry.kind.clone(), view.payload.clone())
        else {
            return Err("it is not stored".into());
        };
        let Payload::Stored(Stored { certificate, .. }) = body.payload.clone() else {
            return Err("it has no certificate".into());
        };
        Ok(Honest { place, bytes, view, body, manifest, certificate })
    }

    /// Puts an object whose sealed body and keys are good and whose chunks are not.
    pub(super) async fn inconsistent(&self) -> Vec<Attempt> {
        let tried = "shards that are not one encoding";
        let honest = match self.honest("inconsistent").await {
            Ok(honest) => honest,
            Err(why) => return vec![Attempt::new(Trick::Inconsistent, tried, format!("not tried: {why}"))],
        };
        match self.spoil(&honest).await {
            Ok(submitted) => {
                let version = submitted.as_ref().ok().map(|committed| committed.version(0));
                let answered = match &submitted {
                    Ok(_) => String::from("it is stored"),
                    Err(error) => error.to_string(),
                };
                let mut attempt = self.read_back(&honest, tried, answered).await;
                let bytes = honest.bytes.clone();
                attempt.spoiled = Some(Spoiled { place: honest.place, version, bytes });
                vec![attempt]
            }
            Err(why) => vec![Attempt::new(Trick::Inconsistent, tried, why)],
        }
    }

    /// Puts another version of an honest object, with inconsistent chunks. The error is why it did not come to that.
    async fn spoil(&self, honest: &Honest) -> Result<Result<chain::client::Committed, SubmitError>, String> {
        let mut spoiled = std::collections::BTreeMap::new();
        let Manifest::Direct(page) = &honest.manifest else { return Err("it has pages".into()) };
        for id in page.chunks() {
            let ciphertext = self.shards.get_chunk(id).await.map_err(|error| error.to_string())?;
            let chunk = crafted::inconsistent(&self.code, &ciphertext, &self.chance);
            spoiled.insert(*id, chunk.id);
            self.shards.put_chunk(chunk).await.map_err(|error| error.to_string())?;
        }
        let manifest = crafted::with_chunks(&honest.manifest, |id| spoiled[&id]).ok_or("it has pages")?;
        let certificate = self.shards.certify(&manifest).await.map_err(|error| error.to_string())?;
        let operation = self.put(honest, &manifest, certificate);
        Ok(self.chain.submit(self.signed(vec![operation.0], operation.1)).await)
    }

    /// The honest object's body with another manifest and certificate.
    fn put(
        &self,
        honest: &Honest,
        manifest: &Manifest,
        certificate: AvailabilityCertificate,
    ) -> (Operation, Vec<Bytes>) {
        let encoded = manifest.encode();
        let stored = Stored { manifest: Attachment::of(&encoded), certificate };
        let body = Body { payload: Payload::Stored(stored), ..honest.body.clone() };
        let put = Operation::PutVersion(PutVersion { place: honest.place.clone(), body });
        (put, vec![honest.view.sealed.clone(), encoded])
    }

    /// Reads a spoiled key some times: each time the honest bytes, or an error.
    async fn read_back(&self, honest: &Honest, tried: &str, answered: String) -> Attempt {
        let (mut good, mut failed, mut false_bytes) = (0, 0, 0);
        for _ in 0..READS {
            match self.read(&honest.place).await {
                Ok(bytes) if bytes == honest.bytes => good += 1,
                Ok(_) => false_bytes += 1,
                Err(_) => failed += 1,
            }
        }
        let answered = format!("{answered}; of {READS} reads {good} gave the bytes and {failed} an error");
        Attempt::new(Trick::Inconsistent, tried, answered)
            .wrong_if(false_bytes > 0, format!("{false_bytes} reads gave other bytes"))
    }

    async fn read(&self, place: &Place) -> Result<Bytes, vault::Error> {
        let object = self.vault.head(place, None).await?;
        let pieces: Vec<Bytes> = self.vault.read(&object, 0..object.length).try_collect().await?;
        Ok(pieces.concat().into())
    }

    /// Puts a manifest that nobody certified, with every certificate that a writer can come by.
    pub(super) async fn receipts(&self) -> Vec<Attempt> {
        let honest = match self.honest("receipts").await {
            Ok(honest) => honest,
            Err(why) => {
                return vec![Attempt::new(Trick::Receipts, "a certificate", format!("not tried: {why}"))];
            }
        };
        let mut attempts = Vec::new();
        let few =
            honest.certificate.receipts.iter().take(self.config.lineage.committee().quorum() - 1).cloned();
        let few =
            AvailabilityCertificate::new(honest.certificate.epoch, honest.certificate.time_ms, few.collect());
        let (operation, attachments) = self.put(&honest, &honest.manifest, few);
        let signed = self.signed(vec![operation], attachments);
        attempts.push(self.must_fail(Trick::Receipts, "one receipt less than a quorum", signed).await);
        let other = |_| proof::Digest(self.chance.bytes());
        let Some(manifest) = crafted::with_chunks(&honest.manifest, other) else { return attempts };
        let (network, key) = (self.config.lineage.network(), &self.config.key);
        for (tried, certificate) in crafted::certificates(&honest.certificate, network, manifest.id(), key) {
            let (operation, attachments) = self.put(&honest, &manifest, certificate);
            let signed = self.signed(vec![operation], attachments);
            attempts.push(self.must_fail(Trick::Receipts, tried, signed).await);
        }
        attempts
    }

    /// Asks for receipts for what was never sent, and sends what nodes must not take.
    pub(super) async fn unsent(&self) -> Vec<Attempt> {
        let manifest = crafted::unsent(&self.chance);
        let chunk = self.code.encode(&self.chance.junk(1_000));
        vec![
            self.certify_unsent(&manifest).await,
            self.put_wrong("a shard that is the next node's", &chunk, |chunk, node| {
                let next = (node + 1) % chunk.shards.len();
                (next, chunk.shards[next].clone())
            })
            .await,
            self.put_wrong("a shard of another chunk", &chunk, |chunk, node| {
                (node, self.chance.junk(chunk.opening.shard_length()).into())
            })
            .await,
        ]
    }

    async fn certify_unsent(&self, manifest: &Manifest) -> Attempt {
        let lineage = &self.config.lineage;
        let (network, epoch) = (lineage.network(), lineage.committee().epoch());
        let time_ms = self.context.current().epoch_millis();
        let certify = Request::Certify(Certify { time_ms, manifest: manifest.clone() });
        let answers = self.ask_all(CERTIFY, &certify.encode()).await;
        let signed = answers.into_iter().zip(lineage.committee().nodes()).filter(|(answer, key)| {
            let answer = answer.as_ref().ok().and_then(|answer| Response::decode(answer.clone()).ok());
            matches!(answer, Some(Response::Receipt(receipt))
                if receipt.verify(network, epoch, manifest.id(), time_ms, key))
        });
        let signed = signed.count();
        Attempt::new(Trick::Unsent, "certification of what nobody sent", format!("{signed} nodes signed"))
            .wrong_if(self.is_proved(signed), format!("{signed} nodes signed"))
    }

    /// Puts to each node what `wrong` makes of a chunk for it.
    async fn put_wrong(
        &self,
        tried: &str,
        chunk: &EncodedChunk,
        wrong: impl Fn(&EncodedChunk, usize) -> (usize, Bytes),
    ) -> Attempt {
        let mut taken = 0;
        for (node, link) in self.links.iter().enumerate() {
            let (index, bytes) = wrong(chunk, node);
            let bytes = Octets::new(bytes).expect("as long as the chunk's shards");
            let shard = Shard { index: index as u8, opening: chunk.opening.clone(), bytes };
            let answer = link.call(PUT, Request::PutShard(shard).encode(), super::CALL_TIMEOUT).await;
            let answer = answer.ok().and_then(|answer| Response::decode(answer).ok());
            taken += usize::from(answer == Some(Response::Done));
        }
        Attempt::new(Trick::Unsent, tried, format!("{taken} nodes took it"))
            .wrong_if(self.is_proved(taken), format!("{taken} nodes took it"))
    }
}
