//! The cluster's certificates, made with openssl, and the kubeconfigs that carry them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flock_tests::command;
use serde_json::{Value, json};

/// The cluster's certificate authority and whatever it has signed, in one directory.
#[derive(Debug, Clone)]
pub struct Authority {
    dir: PathBuf,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

/// Who a certificate is for, in Kubernetes' terms.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The user's groups.
    pub groups: &'a [&'a str],
    /// What it serves as, written as openssl's `subjectAltName`; empty for a client.
    pub names: &'a str,
}

impl<'a> Subject<'a> {
    /// A client.
    pub fn client(user: &'a str, groups: &'a [&'a str]) -> Self {
        Self { user, groups, names: "" }
    }

    /// The distinguished name. A slash or a plus in a part of it would begin another.
    fn name(&self) -> String {
        let groups: String = self.groups.iter().map(|group| format!("/O={group}")).collect();
        format!("{groups}/CN={}", self.user)
    }
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When openssl cannot.
    pub fn new(dir: &Path) -> Result<Self> {
        fs::create_dir(dir).with_context(|| format!("make {}", dir.display()))?;
        // The machine's own configuration would add extensions that contradict ours.
        fs::write(dir.join("openssl.cnf"), "[req]\ndistinguished_name = name\n[name]\n")?;
        let authority = Self { dir: dir.to_owned() };
        let own =
            ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
        authority.request(&authority.credential("ca"), "/CN=flock-test-cluster", &own)?;
        let account = authority.service_accounts().display().to_string();
        // Kubernetes finds a public key in a private one of this form (SEC 1), but not in PKCS #8.
        command::run(&["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &account])?;
        Ok(authority)
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.credential("ca").certificate
    }

    /// The key that signs service accounts' tokens.
    pub fn service_accounts(&self) -> PathBuf {
        self.dir.join("service-accounts.key")
    }

    /// Signs a certificate, kept as `file`.crt and `file`.key.
    ///
    /// # Errors
    /// When openssl cannot.
    pub fn issue(&self, file: &str, subject: Subject) -> Result<Credential> {
        let (own, new) = (self.credential("ca"), self.credential(file));
        let (ca, ca_key) = (own.certificate.display().to_string(), own.key.display().to_string());
        let names = format!("subjectAltName={}", subject.names);
        let mut extra = vec!["-CA", &ca, "-CAkey", &ca_key, "-addext", "basicConstraints=critical,CA:FALSE"];
        extra.extend(["-addext", "extendedKeyUsage=clientAuth,serverAuth"]);
        if !subject.names.is_empty() {
            extra.extend(["-addext", names.as_str()]);
        }
        self.request(&new, &subject.name(), &extra)?;
        Ok(new)
    }

    /// A kubeconfig for a new client certificate, kept as `file`.kubeconfig.
    ///
    /// # Errors
    /// When openssl cannot, or the file cannot be written.
    pub fn kubeconfig(&self, file: &str, server: &str, subject: Subject) -> Result<PathBuf> {
        let Credential { certificate, key } = self.issue(file, subject)?;
        self.kubeconfig_of(file, server, &json!({"client-certificate": certificate, "client-key": key}))
    }

    /// A kubeconfig for whoever has this token, kept as `file`.kubeconfig.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_of_token(&self, file: &str, server: &str, token: &str) -> Result<PathBuf> {
        self.kubeconfig_of(file, server, &json!({"token": token}))
    }

    fn kubeconfig_of(&self, file: &str, server: &str, user: &Value) -> Result<PathBuf> {
        let path = self.kubeconfig_file(file);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "flock", "cluster": {"server": server, "certificate-authority": self.certificate()}}],
            "users": [{"name": "self", "user": user}],
            "contexts": [{"name": "flock", "context": {"cluster": "flock", "user": "self"}}],
            "current-context": "flock",
        });
        fs::write(&path, format!("{config:#}\n"))?;
        Ok(path)
    }

    /// What [`Authority::kubeconfig`] keeps under this name.
    pub fn kubeconfig_file(&self, file: &str) -> PathBuf {
        self.dir.join(format!("{file}.kubeconfig"))
    }

    /// What [`Authority::issue`] keeps under this name.
    pub fn credential(&self, file: &str) -> Credential {
        Credential {
            certificate: self.dir.join(format!("{file}.crt")),
            key: self.dir.join(format!("{file}.key")),
        }
    }

    fn request(&self, new: &Credential, name: &str, extra: &[&str]) -> Result<()> {
        let (certificate, key) = (new.certificate.display().to_string(), new.key.display().to_string());
        let config = self.dir.join("openssl.cnf").display().to_string();
        let fixed = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"];
        let files =
            ["-days", "3650", "-keyout", &key, "-out", &certificate, "-config", &config, "-subj", name];
        let identifier = ["ec_paramgen_curve:P-256", "-addext", "subjectKeyIdentifier=hash"];
        command::run(&[fixed.as_slice(), &identifier, &files, extra].concat()).map(drop)
    }
}
