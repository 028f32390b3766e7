/** The parts of a running hub in the order in which they start; they stop in reverse. */
import type { Container } from 'inversify';
import type { Service } from '../lifecycle.ts';
import { TOKENS } from '../container-tokens.ts';

export async function hubServices(container: Container): Promise<readonly Service[]> {
  const hub = await container.getAsync(TOKENS.Hub);
  const secrets = await container.getAsync(TOKENS.HubSecrets);
  const http = await container.getAsync(TOKENS.HttpApi);
  const certificate = await container.getAsync(TOKENS.Certificate);
  return hub.parts({
    handle: http.handle,
    close: () => http.close(),
    beforePort: {
      name: 'enrolment',
      start() {
        certificate?.start();
        return secrets.startEnrolment();
      },
      async stop() {
        await certificate?.stop();
        await secrets.stop();
      },
    },
  });
}
