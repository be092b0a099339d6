//! Multipart uploads.

use crate::{MASTER_KEY, contents, get, metadata, network::Gateway, network::run, place, read};
use bytes::Bytes;
use proof::{UploadId, receipt::ContentCheck};
use vault::{Condition, Error, Part, UploadsRequest, Written};

const MIB: usize = 1 << 20;

async fn put_part(vault: &Gateway, upload: UploadId, number: u16, bytes: &Bytes) -> Result<Part, Error> {
    let mut writer = vault.put_part(&place("key"), upload, number).await?;
    writer.write(bytes.clone()).await?;
    writer.finish(metadata(&format!("{number}-{}", bytes.len()))).await
}

async fn complete(
    vault: &Gateway,
    upload: UploadId,
    wanted: Vec<(u16, String)>,
    etag: &str,
) -> Result<Written, Error> {
    vault.complete_upload(&place("key"), upload, wanted, metadata(etag), Condition::None).await
}

fn etags(parts: &[(u16, &Bytes)]) -> Vec<(u16, String)> {
    parts.iter().map(|(number, bytes)| (*number, format!("{number}-{}", bytes.len()))).collect()
}

#[test]
fn parts_become_an_object() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        vault.create_bucket(&"bucket".parse().unwrap()).await.unwrap();
        let upload = vault.create_upload(place("key"), metadata("opened")).await.unwrap();
        assert_eq!(vault.head_upload(&place("key"), upload).await.unwrap().metadata, metadata("opened"));
        let (a, b, c) = (contents(1, 5 * MIB), contents(2, 5 * MIB + 3), contents(3, 7));
        put_part(&vault, upload, 2, &a).await.unwrap();
        put_part(&vault, upload, 9, &c).await.unwrap();
        put_part(&vault, upload, 2, &b).await.unwrap();
        put_part(&vault, upload, 1, &a).await.unwrap();
        put_part(&vault, upload, 5, &a).await.unwrap();

        let request =
            UploadsRequest { bucket: "bucket".parse().unwrap(), prefix: "k".into(), after: None, limit: 10 };
        let uploads = vault.list_uploads(request.clone()).await.unwrap();
        assert_eq!((uploads.uploads[0].upload, uploads.more), (upload, false));
        let parts = vault.list_parts(&place("key"), upload, 1, 2).await.unwrap();
        let numbers: Vec<_> = parts.parts.iter().map(|part| (part.number, part.length as usize)).collect();
        assert_eq!((numbers, parts.more), (vec![(2, b.len()), (5, a.len())], true));

        // Part 5 is left out.
        let wanted = etags(&[(1, &a), (2, &b), (9, &c)]);
        let complete = |wanted| complete(&vault, upload, wanted, "whole-3");
        let written = complete(wanted.clone()).await.unwrap();
        let object = vault.head(&place("key"), None).await.unwrap();
        assert_eq!((object.version, &object.metadata), (written.version, &metadata("whole-3")));
        let whole = Bytes::from([a.clone(), b.clone(), c.clone()].concat());
        assert!(read(&vault, &object, 0..u64::MAX).await.unwrap() == whole);
        let (from, to) = (a.len() - 5, a.len() + b.len() + 2);
        assert!(read(&vault, &object, from as u64..to as u64).await.unwrap() == whole[from..to]);

        assert_eq!(complete(wanted).await, Err(Error::NoSuchUpload));
        let completed = vault.completed_upload(&place("key"), upload).await.unwrap();
        assert_eq!(completed.version, written.version);
        let elsewhere = vault.completed_upload(&place("other"), upload).await;
        assert_eq!(elsewhere.err(), Some(Error::NoSuchUpload));
        assert_eq!(vault.list_uploads(request).await.unwrap().uploads, []);
        let parts = vault.object_parts(&object).await.unwrap();
        let numbers: Vec<_> = parts.iter().map(|part| (part.number, part.length as usize)).collect();
        assert_eq!(numbers, [(1, a.len()), (2, b.len()), (9, c.len())]);
        let receipt = vault.receipt(&place("key"), None).await.unwrap();
        let mut check = ContentCheck::new(&receipt.opening[0]);
        assert!(check.update(&whole) && check.finish());
    });
}

#[test]
fn what_does_not_fit_together_is_refused() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        vault.create_bucket(&"bucket".parse().unwrap()).await.unwrap();
        let upload = vault.create_upload(place("key"), metadata("")).await.unwrap();
        let (large, small) = (contents(1, 5 * MIB), contents(2, 5));
        put_part(&vault, upload, 1, &large).await.unwrap();
        put_part(&vault, upload, 2, &small).await.unwrap();
        put_part(&vault, upload, 3, &small).await.unwrap();
        let complete = |wanted| complete(&vault, upload, wanted, "");
        assert_eq!(complete(vec![]).await, Err(Error::InvalidPartOrder));
        assert_eq!(complete(etags(&[(2, &small), (1, &large)])).await, Err(Error::InvalidPartOrder));
        assert_eq!(complete(etags(&[(1, &large), (1, &large)])).await, Err(Error::InvalidPartOrder));
        assert_eq!(complete(etags(&[(1, &small)])).await, Err(Error::InvalidPart { number: 1 }));
        assert_eq!(complete(etags(&[(1, &large), (4, &small)])).await, Err(Error::InvalidPart { number: 4 }));
        assert_eq!(
            complete(etags(&[(2, &small), (3, &small)])).await,
            Err(Error::PartTooSmall { number: 2, length: 5 })
        );
        let other = vault.head_upload(&place("other"), upload).await;
        assert_eq!(other, Err(Error::NoSuchUpload));
        assert_eq!(put_part(&vault, upload, 0, &small).await, Err(Error::InvalidPart { number: 0 }));
        vault.abort_upload(&place("key"), upload).await.unwrap();
        let completed = vault.completed_upload(&place("key"), upload).await;
        assert_eq!(completed.err(), Some(Error::NoSuchUpload));
        assert_eq!(put_part(&vault, upload, 1, &small).await, Err(Error::NoSuchUpload));
    });
}

#[test]
fn an_empty_part_is_an_empty_object() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        vault.create_bucket(&"bucket".parse().unwrap()).await.unwrap();
        for last in [Bytes::new(), contents(1, 9)] {
            let upload = vault.create_upload(place("key"), metadata("")).await.unwrap();
            let part = put_part(&vault, upload, 1, &last).await.unwrap();
            assert_eq!(part.length, last.len() as u64);
            let wanted = etags(&[(1, &last)]);
            complete(&vault, upload, wanted, "x-1").await.unwrap();
            assert_eq!(get(&vault, "key").await.unwrap(), last);
        }
    });
}
