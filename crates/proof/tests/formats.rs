//! The formats are frozen: one value of every type keeps its bytes.
//!
//! Bytes like these are in blocks, on disks and in receipts that people keep for years. If this test fails, a format
//! changed: either undo that, or give what changed a new version (its domain, tag or file version), describe both in
//! FORMATS.md, keep reading the old one, and only then add the new lines here.

mod samples;

use proof::digest::sha256;

/// Name; bytes of the encoding; first half of the hash over it.
const FORMATS: &[(&str, usize, &str)] = &[
    ("Digest", 32, "3c1b7cf783c905c7586a920ca139bf00"),
    ("PublicKey", 32, "2b4f92966d17e87060ccae10e87abe5d"),
    ("Signature", 64, "6c79db072c6fefc73f4f0cdc180f6b96"),
    ("TenantId", 16, "c5baef79ec732ecfe8a80713b19d601e"),
    ("UploadId", 16, "c605c78ac78ddfcc5f0c9e0f3394a875"),
    ("BucketName", 11, "ce4a2a57b2c83aca0e665e7ed6a63a58"),
    ("ObjectKey", 27, "d74228203036d69230573d81187df4de"),
    ("VersionId", 14, "35fc8ad981e900cf3d1945b78abc9d7c"),
    ("Committee", 140, "65ed37920a0b62435d8a0bf1089d4bfc"),
    ("StorageReceipt", 65, "13c6ddf856c817a3ba35fb1c4c058558"),
    ("AvailabilityCertificate", 215, "4366155a0d035d5f7cb815a832f5069b"),
    ("Opening", 137, "ddb6e0f2541f48dee7300a8d74ae0d3d"),
    ("SealedKey", 48, "58d5c9d35193244e6a7b26587357518d"),
    ("Segment", 128, "ff71ba2992817fb6b1deb190d65df271"),
    ("Page", 260, "f4ee9d625ac8527f95134c7fe7fd7407"),
    ("PageRef", 44, "cbbafdf286aaf0ffcf72aa5d01b603e7"),
    ("Manifest::Direct", 261, "492fd9423b94acd49a880cd8619f75ed"),
    ("Manifest::Paged", 93, "a70d8b7a64a84d8dcedf03bce1b902c4"),
    ("Attachment", 36, "d93fcceb4fc29a8aa001d41c92baf926"),
    ("Stored", 251, "68c83ba8966226a33033a0f4c29a4b28"),
    ("Payload::Inline", 37, "da88789325479e999010b2d0a3c0b3e6"),
    ("Payload::Stored", 252, "eb71394c9dd4de9deb411c577981b921"),
    ("Body", 113, "a86b5c8177826807d885f9dd2176e450"),
    ("Place", 38, "37875b83d71b9903312fe36544d014ac"),
    ("Succession", 22, "1507a30ec323d71b963ec60dee2fed02"),
    ("Transaction", 1403, "a29824340143897648ba96a8e2920aa3"),
    ("SignedTransaction", 1555, "a129a67df3bbe6fde3ea0f517451e207"),
    ("VersionKind::Object", 114, "ccdceefa58bd7ac6e7f3f2e5ec2aa292"),
    ("VersionKind::Marker", 1, "a990b4364eb616a01c6fe71e8ba57a96"),
    ("VersionEntry", 190, "c17aa1ed2472dbe3d46f33683e4fd610"),
    ("UploadEntry", 128, "fbc1883ddc2854160f2bf7367684554b"),
    ("PartEntry", 153, "82443c99cb0bd14f5ceb86f4a6732a58"),
    ("AnnotationEntry", 132, "193457c3e5fdab9051494261e3ae0366"),
    ("Leaf", 98, "b1ae8a9484bcca8d8486f81dbef38c15"),
    ("Path", 68, "c100716a91702353978663ea2a607197"),
    ("Header", 284, "b273443c56faddb73327c72906ef7c2d"),
    ("Finalization", 239, "a9db21c41a908c407e1ed7f7161cafbd"),
    ("FinalizedHeader", 811, "43834dcd25b4c62a275969b202f14129"),
    ("GenesisTenant", 58, "15629bbafc3593b42401c08b08a71e13"),
    ("Genesis", 289, "f1237bbbb3fed637fb2095875231e3ad"),
    ("Terms", 699, "f02340aea14cc5186b0bc62573dd502d"),
    ("Approval", 96, "32f6db3fb80ac9fc9cb742663b2a6815"),
    ("Recovery", 895, "942110819bf0acad8efaea3e388d0d83"),
    ("ContentRun", 40, "cdbc608d2c1810a323bfa5513aa36bbb"),
    ("ContentOpening", 116, "e0969c8cb3a68d4ae13d5e297f056cbf"),
    ("Receipt, closed", 2386, "8c5ca7452ab0262ad18b391a8d732240"),
    ("Receipt, opened", 2502, "83abe455a3e971753638e5452799dd60"),
    ("Operation::CreateBucket", 12, "6175fa2ed87fcfac99dec47f1557b7ff"),
    ("Operation::DeleteBucket", 12, "657e9b0d0100601a995f237746f8ac56"),
    ("Operation::PutVersion", 152, "677f9574d2b3038a761919aa4217a6f0"),
    ("Operation::PutMarker", 39, "2b55371f40fe32dfab4d91119f16c50d"),
    ("Operation::CreateUpload", 91, "07f6f0cea22e2396ddb47e050040081e"),
    ("Operation::PutPart", 347, "3dedde9d8e8bbd4b090d69d9bdd44feb"),
    ("Operation::CompleteUpload", 383, "6683c03654453ea5b59b057cfe392f60"),
    ("Operation::AbortUpload", 17, "a8ae0ff8a659aea12978f469c3ba676d"),
    ("Operation::CreateTenant", 59, "47ba50d7826ad53057cdaabc999c24a7"),
    ("Operation::AddKey", 33, "cb98171e143be0e955984764d3db4da7"),
    ("Operation::RevokeKey", 33, "24a0584197596fe47e3d0d0eb99415a3"),
    ("Operation::HideVersion", 57, "dfc77bccae0b498e3cdfbfa53edf4419"),
    ("Operation::HideVersion, current", 79, "5c3b631593872f32751eae46a5a5a7a8"),
    ("Operation::HideVersion, last", 65, "72f230201ec6405fdcd871750ba6c9f7"),
    ("Operation::UnhideVersion", 54, "131827630ed410bde4bd0d3981edc008"),
    ("Operation::UndeleteBucket", 12, "8719fdde4eb8d93c161d469c5b951126"),
    ("Operation::SetBucketLock", 16, "975a2f281c9de758e528cbcbd3831576"),
    ("Operation::SetBucketLock, days", 22, "98456c72c910875a1a73e0bfc51e12e6"),
    ("Operation::SetBucketLock, years", 22, "7ec5cbf2e573c74393b3dab5da415569"),
    ("Operation::SetRetention", 59, "8d215474fe7c4ea3292d51da0ebcdd39"),
    ("Operation::SetRetention, of a version being made", 56, "f3ed4674f9f3895d3c4c574bc5cac33f"),
    ("Operation::SetHold", 55, "e12cc4d5b5d4455907952a61ad3b2e64"),
    ("Operation::Annotate, tags of a bucket", 53, "fda1ddd206127efc95497758f4d18d46"),
    ("Operation::Annotate, CORS", 53, "3e2d95e7259e03bd6f2c4675158b6fab"),
    ("Operation::Annotate, tags", 95, "cd17f543dd98fc7a7a4d10a5ebf75013"),
    ("Operation::Annotate, lifecycle", 53, "63e89374f1358b42c3c53196d10831c4"),
    ("Operation::Annotate, policy", 53, "08bbfccc89f565891200de5335926604"),
    ("Operation::Annotate, public access", 53, "27e1c754da9963644301fe2f7d94c499"),
    ("Operation::SetQuota, Quota", 32, "1af18fc5e49db00690851e98c9c82827"),
    ("Operation::SetQuota, none", 16, "bc67e1da58364117364ceb0488b3b8a7"),
    ("Operation::SetTenantQuota", 37, "991ce9a6a1e50114a6398e50378d4656"),
    ("Operation::Annotate, no more", 17, "95f9e354a48e366eba1ff4480ec0af3a"),
    ("Precondition::KeyAbsent", 39, "588f6d83452cb06cc6466bcba5674d2b"),
    ("Precondition::KeyAt", 53, "f280c3b13bb2439d2f8611b30f97eebf"),
    ("Precondition::UploadAt", 21, "b220b0687e39a9e1e9bc16f82f97ab27"),
    ("id of a transaction", 32, "f562053000b291c76d08fecd5b7f4d28"),
    ("signature of a transaction", 64, "c7565464b4bc3834a2e72325d795934a"),
    ("id of a manifest", 32, "7c333370e32fb827037b36e7f828cb19"),
    ("id of a page", 32, "f6708171f809f271ee59849d4861a00f"),
    ("id of a chunk", 32, "9410ce6521833cab5668bda9487eabd2"),
    ("digest of an attachment", 32, "e97895bfe20d44e848a7e86bd03856a8"),
    ("digest of a committee", 32, "dcb85bc72a793e81c2a20eb8b246d30c"),
    ("digest of a header", 32, "993449ca9f1952ff73123fd3d2cb02c0"),
    ("digest of a version entry", 32, "45442c38f80a29c1968a0830ef2fca18"),
    ("digest of an upload entry", 32, "df690f338b61bdc3757f42e3da1e8627"),
    ("digest of a part entry", 32, "7b65848aa526a8d0b873b2846d6bffac"),
    ("digest of an annotation entry", 32, "f01c72dfd3878109e6926fbd9abbd26e"),
    ("storage receipt", 64, "3994a43d61fd5634d5887a3abd9c54d2"),
    ("root of no transactions", 32, "2b203b7d5028bbee4cd5d377e54c7630"),
    ("root of three transactions", 32, "fb6806414a5650571dc769b52fde539e"),
    ("content commitment", 32, "6f68c90ce19c4c1fa916bffc911683e7"),
    ("hash of contents", 32, "c3cf3e16b0999fc1da1ae2d450cbe4cb"),
    ("id of a network", 32, "137ccf35e79ae6f1012d1586fcdb32f4"),
    ("namespace of consensus", 51, "afaeb92c9a4ddbf1f637ea83a85b9e17"),
    ("genesis file", 330, "2e7d7ad4c152f112d07d507bd4c7951f"),
    ("genesis file with a recovery", 1261, "a590abd4cef3a18d3ca4becc363025d4"),
    ("digest of terms", 32, "0d3ef21ff6bccd7ddb28991e060082b6"),
    ("recovery file", 936, "f835b2f2b0634c087d054a007de77672"),
    ("receipt file", 2543, "248475d7c2de04ac32bdc17235337652"),
];

#[test]
fn formats_are_frozen() {
    let encodings = samples::samples().into_iter().map(|sample| {
        let again = (sample.recode)(sample.bytes.clone());
        assert_eq!(again.expect("what was encoded decodes"), sample.bytes, "{}", sample.name);
        (sample.name, sample.bytes.to_vec())
    });
    let now: Vec<(&str, usize, String)> = encodings
        .chain(samples::derived())
        .map(|(name, bytes)| {
            (name, bytes.len(), sha256("outlast/test/format", &[&bytes]).to_string()[..32].to_owned())
        })
        .collect();
    let changed: Vec<_> = now
        .iter()
        .filter(|(name, length, hash)| !FORMATS.contains(&(*name, *length, hash.as_str())))
        .map(|(name, length, hash)| format!("    ({name:?}, {length}, {hash:?}),\n"))
        .collect();
    assert!(
        changed.is_empty(),
        "a format changed: that needs a new version in FORMATS.md. As the bytes are now:\n{}",
        changed.concat()
    );
    assert_eq!(FORMATS.len(), now.len(), "every line of the table is of a format that is");
}
