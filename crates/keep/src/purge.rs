//! Forgetting: a wrong "not found", an old list, and, when asked for, kept files.

use crate::refusal::Refusal;
use crate::serve::Keep;
use gomod::path::ModulePath;
use gomod::version::Version;

impl Keep {
    /// Forgets what may change about a module: "not found", lists, latest, branch queries. With
    /// `files`, the kept files of one version or of all too. Gives the number of things forgotten.
    pub async fn purge(
        &self,
        module: &ModulePath,
        version: Option<&Version>,
        files: bool,
    ) -> Result<u64, Refusal> {
        let forgotten = self.inner.store.forget(module, version, files).await;
        let forgotten = forgotten.map_err(|e| Refusal::from_store(module.as_str(), &e))?;
        // Memory is only a copy: dropping all of it is simpler than finding what belongs to a module,
        // and costs one read of each file that is asked for again.
        self.inner.memory.invalidate_all();
        let remembered = self.inner.not_found.entry_count();
        self.inner.not_found.invalidate_all();
        tracing::info!(module.path = %module, forgotten, remembered, files, "purged");
        Ok(forgotten)
    }
}
