//! What ops do to services.

use std::collections::BTreeSet;

use model::{Decky, Name, Op, Service, ServiceConfig};

use super::{Undo, Work};
use crate::{ViolationCode, pick_services, rules, violation::Findings};

impl Work<'_> {
    pub(super) fn rotate_decky(&mut self, name: &Name, services: Option<&[Service]>) -> Undo {
        let before = self.decky(name)?;
        let mut findings = Findings::default();
        let picked = match services {
            Some(services) => Some(services.to_vec()),
            None => pick_services(&before, self.ambient),
        };
        let Some(picked) = picked else {
            let message = format!("a {} has no other services to rotate to", before.archetype);
            findings.add(ViolationCode::ServicesNoChoice, "payload.decky", message);
            return Err(findings.into_vec());
        };
        let services = configured(&picked, &before.services);
        rules::check_services(before.archetype, &services, "payload.services", &mut findings);
        let services = sorted(services);
        if services == sorted(before.services.clone()) {
            let message = format!("decky {name} has exactly these services already");
            findings.add(ViolationCode::ServicesUnchanged, "payload.services", message);
        }
        findings.or_ok()?;
        let undo = if configured(&before.service_set(), &services) == before.services {
            Op::RotateDecky { decky: name.clone(), services: Some(before.service_set()) }
        } else {
            Op::RestoreDecky { decky: Decky::clone(&before) }
        };
        let rotated_at = self.ambient.now();
        self.put_decky(Decky { services, rotated_at, ..Decky::clone(&before) });
        Ok(vec![undo])
    }
}

/// The services with their ports: those of `current` keep theirs.
pub(super) fn configured(services: &[Service], current: &[ServiceConfig]) -> Vec<ServiceConfig> {
    let kept = |service: Service| current.iter().find(|config| config.service == service).copied();
    services.iter().map(|service| kept(*service).unwrap_or((*service).into())).collect()
}

pub(super) fn sorted(services: Vec<ServiceConfig>) -> Vec<ServiceConfig> {
    services.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
