//! ReloadResult flags, environment and files while the gateway serves: on SIGHUP, and when a file changes.

use std::ffi::OsString;
use std::path::PathBuf;

use h8s_settings::{Exit, FileWatch, Loaded, Reload, ReloadTrigger};

use crate::observability::metrics::ReloadResult;
use crate::{Config, Flags, ReloadHandle, TlsFiles, Upstream};

/// ReloadResult a running gateway's configuration from its command line, environment and files.
pub struct Reloader {
    argv: Vec<OsString>,
    /// The flags at start: some are fixed until restart.
    flags: Flags,
    file: Option<PathBuf>,
    tls: Option<TlsFiles>,
    watch: FileWatch,
}

impl Reloader {
    /// `argv` is the command line that `loaded` came from. Relative paths resolve against the working directory.
    pub fn new(argv: Vec<OsString>, loaded: &Loaded<Flags>) -> Self {
        let (file, tls) = (loaded.file.clone(), loaded.flags.tls_files());
        // Watches from here on, so that a change during start-up is seen.
        let watch = watch(file.as_ref(), tls.as_ref());
        Self { argv, flags: loaded.flags.clone(), file, tls, watch }
    }

    /// Installs the SIGHUP handler; from here on SIGHUP does not end the process.
    ///
    /// # Errors
    /// The handler cannot be installed.
    pub fn listen(self) -> std::io::Result<Reloading> {
        Ok(Reloading { reload: Reload::new(self.watch.clone())?, reloader: self })
    }

    fn is_tls(&self, file: &PathBuf) -> bool {
        self.tls.as_ref().is_some_and(|tls| [&tls.certificates, &tls.key].contains(&file))
    }

    fn renew_certificate<U: Upstream>(&self, handle: &ReloadHandle<U>) {
        match handle.renew_certificate() {
            Ok(()) => {
                handle.metrics().reloads(ReloadResult::Taken);
                tracing::info!("certificate reloaded");
            }
            Err(error) => {
                handle.metrics().reloads(ReloadResult::Refused);
                tracing::error!("certificate reload failed; the previous certificate stays in use: {error}");
            }
        }
    }

    fn reload<U: Upstream>(&mut self, handle: &ReloadHandle<U>) {
        let taken = self.read().and_then(|(config, flags)| {
            handle.apply(config).map_err(|error| vec![error.to_string()])?;
            Ok(flags)
        });
        match taken {
            Ok(flags) => {
                self.tls = flags.tls_files();
                handle.metrics().reloads(ReloadResult::Taken);
                tracing::info!("configuration reloaded");
            }
            Err(mistakes) => {
                handle.metrics().reloads(ReloadResult::Refused);
                for mistake in mistakes {
                    tracing::error!(
                        "configuration reload failed; the previous configuration stays in use: {mistake}"
                    );
                }
            }
        }
    }

    /// The current configuration, if all changes can be applied without a restart.
    fn read(&self) -> Result<(Config, Flags), Vec<String>> {
        let lines = |exit: Exit| -> Vec<String> { exit.to_string().lines().map(str::to_owned).collect() };
        let flags = h8s_settings::load::<Flags>(&self.argv).map_err(lines)?.flags;
        let (config, _nats) = flags.clone().configs().map_err(lines)?;
        let fixed = self.flags.fixed_until_restart(&flags);
        match fixed.is_empty() {
            true => Ok((config, flags)),
            false => {
                Err(fixed.iter().map(|name| format!("{name} has changed; restart to apply it")).collect())
            }
        }
    }
}

/// A [`Reloader`] that receives SIGHUP and file changes.
pub struct Reloading {
    reload: Reload,
    reloader: Reloader,
}

impl Reloading {
    /// Runs forever. Results are logged.
    pub async fn run<U: Upstream>(self, handle: ReloadHandle<U>) -> std::convert::Infallible {
        let Self { mut reload, mut reloader } = self;
        loop {
            match reload.triggered().await {
                ReloadTrigger::FilesChanged(files) if files.iter().all(|file| reloader.is_tls(file)) => {
                    reloader.renew_certificate(&handle);
                }
                ReloadTrigger::Signal | ReloadTrigger::FilesChanged(_) => {
                    let before = reloader.tls.clone();
                    reloader.reload(&handle);
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
    /// Names of the changed flags that need a restart.
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
