/** A typed client of the hub's HTTP API, in Node. */
import { randomUUID } from 'node:crypto';
import type { HubTrust } from '../../adapters/kit/trusted-hub.ts';
import { clientOn, type HubClient } from './client.ts';
import type { Connection } from './api-request.ts';
import { exchangeOfClient } from './exchange/http-exchange.ts';

/** A connection from Node, which can recognize a hub in more ways than a page in a browser. */
export interface NodeConnection extends Connection {
  /** How the hub at an `https://` address is recognized. Default: by a certificate from a public CA for its name. */
  readonly tls?: HubTrust | undefined;
}

/** A client for the hub at `connection.url`. Sends nothing yet. */
export const hubClient = ({ tls = {}, ...connection }: NodeConnection): HubClient =>
  clientOn({ exchange: exchangeOfClient(tls), random: randomUUID }, connection);

export { taskSigner } from '../signing/task-signer.ts';
export type { Ed25519PrivateJwk, SignedTask, SignTask, TaskSignerOptions } from '../signing/signing-options.ts';
export type { HubTrust } from '../../adapters/kit/trusted-hub.ts';

export type * from './types-of-client.ts';
