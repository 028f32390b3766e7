/** The parts of a running hub in the order in which they start; they stop in reverse. */
import type { Container } from 'inversify';
import type { Hub } from '../../core/application/hub/hub.ts';
import type { AuditDraft } from '../../core/domain/audit/audit-entry.ts';
import type { Service } from '../lifecycle.ts';
import { VERSION } from '../version.ts';
import type { HubSecrets } from './hub-secrets.ts';
import { TOKENS } from '../container-tokens.ts';

/** Digits of the admin token's hash in the audit log: enough to see that the token is another one, and too few to guess it from. */
const ADMIN_TOKEN_DIGITS = 8;

/** The entry for a start in the audit log, which shows if the config has another admin token. */
const hubStart = ({ hubId, clock }: Pick<Hub, 'hubId' | 'clock'>, { adminTokenHash }: Pick<HubSecrets, 'adminTokenHash'>): AuditDraft => ({
  atMs: clock.nowMs(),
  actor: { id: hubId, name: null, role: 'hub' },
  address: null,
  act: 'hub.start',
  object: hubId,
  outcome: 'done',
  details: { version: VERSION, admin_token: adminTokenHash.slice(0, ADMIN_TOKEN_DIGITS) },
});

export async function hubServices(container: Container): Promise<readonly Service[]> {
  const hub = await container.getAsync(TOKENS.Hub);
  const secrets = await container.getAsync(TOKENS.HubSecrets);
  const http = await container.getAsync(TOKENS.HttpApi);
  const certificate = await container.getAsync(TOKENS.Certificate);
  const storage = await container.getAsync(TOKENS.Storage);
  return hub.parts({
    handle: http.handle,
    close: () => http.close(),
    beforePort: {
      name: 'enrolment',
      async start() {
        await secrets.checkAdminToken();
        certificate?.start();
        await storage.audit.append([hubStart(hub, secrets)]);
        await secrets.startEnrolment();
      },
      async stop() {
        await certificate?.stop();
        await secrets.stop();
      },
    },
  });
}
