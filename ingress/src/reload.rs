//! Reading flags, environment and files again while the gateway serves: at SIGHUP, and when a file changes.

use std::ffi::OsString;
use std::path::PathBuf;

use h8s_settings::{Exit, FileWatch, Loaded, Reload, ReloadTrigger};

use crate::metrics::Reloads;
use crate::{Config, Flags, Live, TlsFiles, Upstream};

/// Keeps a running ingress as its command line, its environment and its files say.
pub struct Reloader {
    argv: Vec<OsString>,
    /// As they were at start: some of them hold until the end.
    flags: Flags,
    file: Option<PathBuf>,
    tls: Option<TlsFiles>,
    watch: FileWatch,
}

impl Reloader {
    /// `argv` is what `loaded` came from. Relative paths in it are looked up from where the process is.
    pub fn new(argv: Vec<OsString>, loaded: &Loaded<Flags>) -> Self {
        let (file, tls) = (loaded.file.clone(), loaded.flags.tls_files());
        // From here on: what changes while the gateway starts has not been read.
        let watch = watch(file.as_ref(), tls.as_ref());
        Self { argv, flags: loaded.flags.clone(), file, tls, watch }
    }

    /// From here on SIGHUP does not end the process.
    ///
    /// # Errors
    /// SIGHUP cannot be listened to.
    pub fn listen(self) -> std::io::Result<Reloading> {
        Ok(Reloading { reload: Reload::new(self.watch.clone())?, reloader: self })
    }

    fn is_tls(&self, file: &PathBuf) -> bool {
        self.tls.as_ref().is_some_and(|tls| [&tls.certificates, &tls.key].contains(&file))
    }

    fn renew_certificate<U: Upstream>(&self, live: &Live<U>) {
        match live.renew_certificate() {
            Ok(()) => {
                live.metrics().reloads(Reloads::Taken);
                tracing::info!("the certificate was read again");
            }
            Err(error) => {
                live.metrics().reloads(Reloads::Refused);
                tracing::error!("the certificate stays the one before: {error}");
            }
        }
    }

    fn reload<U: Upstream>(&mut self, live: &Live<U>) {
        let taken = self.read().and_then(|(config, flags)| {
            live.apply(config).map_err(|error| vec![error.to_string()])?;
            Ok(flags)
        });
        match taken {
            Ok(flags) => {
                self.tls = flags.tls_files();
                live.metrics().reloads(Reloads::Taken);
                tracing::info!("the configuration was read again");
            }
            Err(mistakes) => {
                live.metrics().reloads(Reloads::Refused);
                for mistake in mistakes {
                    tracing::error!("the configuration stays the one before: {mistake}");
                }
            }
        }
    }

    /// What everything says now, if all of it can be taken while serving.
    fn read(&self) -> Result<(Config, Flags), Vec<String>> {
        let lines = |exit: Exit| -> Vec<String> { exit.to_string().lines().map(str::to_owned).collect() };
        let flags = h8s_settings::load::<Flags>(&self.argv).map_err(lines)?.flags;
        let (config, _nats) = flags.clone().configs().map_err(lines)?;
        let fixed = self.flags.fixed_until_restart(&flags);
        match fixed.is_empty() {
            true => Ok((config, flags)),
            false => Err(fixed
                .iter()
                .map(|name| format!("{name} has changed, which takes a restart; nothing was taken"))
                .collect()),
        }
    }
}

/// A [`Reloader`] that hears of what happens.
pub struct Reloading {
    reload: Reload,
    reloader: Reloader,
}

impl Reloading {
    /// Never ends. What it does it says in the log.
    pub async fn run<U: Upstream>(self, live: Live<U>) -> std::convert::Infallible {
        let Self { mut reload, mut reloader } = self;
        loop {
            match reload.triggered().await {
                ReloadTrigger::FilesChanged(files) if files.iter().all(|file| reloader.is_tls(file)) => {
                    reloader.renew_certificate(&live);
                }
                ReloadTrigger::Signal | ReloadTrigger::FilesChanged(_) => {
                    let before = reloader.tls.clone();
                    reloader.reload(&live);
                    if reloader.tls != before {
                        reload.watch(watch(reloader.file.as_ref(), reloader.tls.as_ref()));
                    }
                }
            }
        }
    }
}

fn watch(file: Option<&PathBuf>, tls: Option<&TlsFiles>) -> FileWatch {
    let tls = tls.into_iter().flat_map(|tls| [&tls.certificates, &tls.key]);
    FileWatch::new(file.into_iter().chain(tls))
}

impl Flags {
    /// The names of those that differ, and hold from start to end.
    fn fixed_until_restart(&self, now: &Self) -> Vec<&'static str> {
        let own = [
            ("listen", self.listen != now.listen),
            ("admin-listen", self.admin_listen != now.admin_listen),
            ("grace-period", self.program.grace_period != now.program.grace_period),
            ("threads", self.workers.threads != now.workers.threads),
            ("log-format", self.program.log_format != now.program.log_format),
        ];
        let own = own.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name);
        own.chain(self.nats.differing(&now.nats)).collect()
    }
}
