/** From a bearer token to who speaks. */
import { timingSafeEqual } from 'node:crypto';
import type { AgentId } from '../../core/domain/ids.ts';
import { isExpired, type Role, type TokenRecord } from '../../core/ports/agent-store.ts';
import { addressGroup } from '../../core/protocol/client-address.ts';
import { buckets } from './buckets.ts';
import type { HttpApiDeps } from './deps.ts';
import { read, refusal, refused, tooMany, type Read } from './reply.ts';

export interface Principal {
  /** The token's id; `admin` for the admin token of the config. */
  readonly id: string;
  readonly role: Role;
  /** The agent that it speaks for, of role `agent`. */
  readonly agentId: AgentId | null;
  /** Whether the token still holds; for a stream that outlives its request. */
  stillHolds(): Promise<boolean>;
}

export interface Authenticator {
  /** 401 without a valid token, 429 for an address that has sent too many wrong ones. */
  authenticate(authorization: string | undefined, address: string): Promise<Read<Principal>>;
  /**
   * Looks for what a secret opens. A look that finds nothing counts against the address; 429 when it has none left. One
   * that fails counts nothing: a database that is away says nothing about the secret.
   */
  look<T>(address: string, find: () => Promise<T | undefined>): Promise<Read<T | undefined>>;
  /** Looks every token up anew from now on. */
  forget(): void;
}

/** A token found is believed this long, so that a burst of requests is one look-up. */
const BELIEVED_MS = 5_000;
const BELIEVED_TOKENS_MAX = 4_096;
const TOKEN_CHARACTERS_MAX = 1_024;
/** Wrong tokens that an address may send at once, and how quickly it may send more. */
const GUESSES = { burst: 20, perSecond: 0.5 };
const ADDRESSES_MAX = 10_000;
const BEARER = /^Bearer +([\x21-\x7e]+) *$/i;

interface Believed {
  readonly record: TokenRecord;
  readonly atMs: number;
}

/**
 * A token that was right before is looked up however many wrong ones its address sends, and the admin token of the config
 * is compared without a look-up: an address can bar guesses, not those who have been let in.
 */
export function authenticator(deps: Pick<HttpApiDeps, 'agents' | 'digest' | 'clock' | 'adminTokenHash' | 'tokenUse'>): Authenticator {
  const { agents, digest, clock, tokenUse } = deps;
  const adminHash = Buffer.from(deps.adminTokenHash, 'hex');
  const guesses = buckets(GUESSES, ADDRESSES_MAX, clock);
  /** In the order of the last look-up. */
  const believed = new Map<string, Believed>();
  /** Grows with each revocation, so that a look-up begun before it is not believed after it. */
  let epoch = 0;

  const find = async (hash: string): Promise<TokenRecord | undefined> => {
    const begun = epoch;
    const record = await agents.findToken(hash);
    believed.delete(hash);
    if (record === undefined || isExpired(record, clock.nowMs())) return undefined;
    believed.set(hash, { record, atMs: epoch === begun ? clock.monotonicMs() : -Infinity });
    if (believed.size > BELIEVED_TOKENS_MAX) {
      const [oldest] = believed.keys();
      if (oldest !== undefined) believed.delete(oldest);
    }
    return record;
  };

  const principal = (hash: string, record: TokenRecord): Principal => {
    tokenUse.note(record.id);
    return {
      id: record.id,
      role: record.role,
      agentId: record.agentId,
      stillHolds: async () => {
        const now = await agents.findToken(hash);
        return now !== undefined && !isExpired(now, clock.nowMs());
      },
    };
  };

  const look = async <T>(address: string, search: () => Promise<T | undefined>): Promise<Read<T | undefined>> => {
    const group = addressGroup(address);
    const waitMs = guesses.waitMs(group);
    if (waitMs > 0) return refused(tooMany('Too many wrong tokens or secrets from this address.', waitMs));
    const found = await search();
    if (found === undefined) guesses.take(group);
    return read(found);
  };

  return {
    look,
    forget() {
      epoch += 1;
      for (const [hash, { record }] of believed) believed.set(hash, { record, atMs: -Infinity });
    },
    async authenticate(authorization, address) {
      const token = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
      if (token === undefined || token.length > TOKEN_CHARACTERS_MAX) return refused(unauthorized());
      const hash = digest.sha256(token);
      const given = Buffer.from(hash, 'hex');
      if (given.length === adminHash.length && timingSafeEqual(given, adminHash)) {
        return read({ id: 'admin', role: 'admin', agentId: null, stillHolds: () => Promise.resolve(true) });
      }
      const known = believed.get(hash);
      const isBelieved = known !== undefined && clock.monotonicMs() - known.atMs < BELIEVED_MS && !isExpired(known.record, clock.nowMs());
      if (isBelieved) return read(principal(hash, known.record));
      const found = known === undefined ? await look(address, () => find(hash)) : read(await find(hash));
      if (found.kind === 'refused') return found;
      return found.value === undefined ? refused(unauthorized()) : read(principal(hash, found.value));
    },
  };
}

const unauthorized = () =>
  refusal('unauthorized', 'This route requires the header "Authorization: Bearer TOKEN" with a valid token.', {
    headers: { 'www-authenticate': 'Bearer realm="agentcom"' },
  });
