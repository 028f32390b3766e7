/** Authenticates bearer tokens, and the sessions that were opened with one. */
import { timingSafeEqual } from 'node:crypto';
import type { AgentId } from '../../core/domain/ids.ts';
import { isExpired, submitterId, type Role, type TokenRecord } from '../../core/ports/agent-store.ts';
import { isStoreFailure } from '../../core/errors/store-failure.ts';
import { within } from '../../core/ports/timing/within.ts';
import { addressGroup } from '../../core/protocol/client-address.ts';
import { buckets } from './buckets.ts';
import type { HttpApiDeps } from './deps.ts';
import { lookupTurns } from './turns/lookup-turns.ts';
import { read, refusal, refused, tooMany, type Read } from './reply.ts';
import type { Session } from './session/session-cookies.ts';

export interface Principal {
  /** The token's id; `admin` for the admin token of the config. */
  readonly id: string;
  /** The `submittedBy` of its tasks: its id, or that of the token which it replaces. */
  readonly submitterId: string;
  /** The token's name; `admin` for the admin token of the config. */
  readonly name: string;
  readonly role: Role;
  /** The agent that the token identifies; null unless `role` is `agent`. */
  readonly agentId: AgentId | null;
  /** Whether the token is still valid. For a stream, which outlives the check at its start. */
  isStillValid(): Promise<boolean>;
}

export interface Authenticator {
  /**
   * Refuses with 401 without a valid token, and with 429 if the address has sent too many wrong ones. `mayBeOld`: while the store cannot
   * look a token up in time, what was found last is enough.
   */
  authenticate(authorization: string | undefined, address: string, mayBeOld?: boolean): Read<Principal> | Promise<Read<Principal>>;
  /** The same with a session of that token. Refuses with 401 if the token is no longer valid. */
  resume(session: Session, address: string): Promise<Read<Principal>>;
  /**
   * Runs a lookup by a secret. One that finds nothing counts as a wrong guess of the address; after too many, refuses with 429. One that
   * throws does not count: if the database is down, nothing is known about the secret.
   */
  lookUp<T>(address: string, find: () => Promise<T | undefined>): Promise<Read<T | undefined>>;
  /** Invalidates the cache: every token is looked up again. */
  invalidate(): void;
}

/** How long a found token is cached, so that a burst of requests causes one lookup. */
const CACHED_MS = 5_000;
const CACHED_TOKENS_MAX = 4_096;
/**
 * How old it may be with `mayBeOld`. A revocation by this hub, and the end of its term, invalidate a token at once. Another hub can revoke
 * one unnoticed only while this hub alone cannot reach the store; the token then opens those routes for at most this long.
 */
const OLD_TOKEN_MS = 3_600_000;
/** How long a lookup may take before the token found last is used, milliseconds. */
const LOOKUP_MS = 2_000;
/** Valid tokens whose hash is remembered: hashing a token costs more than the rest of its check. */
const HASHED_TOKENS_MAX = 1_000;
const TOKEN_CHARACTERS_MAX = 1_024;
/** How many wrong tokens an address may send at once, and at what rate afterwards. */
const GUESSES = { burst: 20, perSecond: 0.5 };
const ADDRESSES_MAX = 10_000;
/** After how long an address with too many waiting lookups may retry, milliseconds. */
const TURN_WAIT_MS = 1_000;
const BEARER = /^Bearer +([\x21-\x7e]+) *$/i;

/** The token in an `authorization` header; undefined if there is none. */
export const bearerToken = (authorization: string | undefined): string | undefined =>
  authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];

/** A token that was valid. */
interface HashedToken {
  readonly hash: string;
  readonly isAdmin: boolean;
}

const ADMIN: Principal = {
  id: 'admin',
  submitterId: 'admin',
  name: 'admin',
  role: 'admin',
  agentId: null,
  isStillValid: () => Promise.resolve(true),
};

interface CachedToken {
  readonly record: TokenRecord;
  readonly atMs: number;
}

/**
 * Too many wrong tokens block only further guesses from that address, not its valid clients: a token that was valid before is looked up
 * nevertheless, and the admin token of the config is compared without a lookup. `onGuess`: called with the address of each wrong token or secret.
 */
export function authenticator(
  deps: Pick<HttpApiDeps, 'agents' | 'digest' | 'clock' | 'adminTokenHash' | 'tokenUse'>,
  onGuess: (address: string) => void = () => undefined,
): Authenticator {
  const { agents, digest, clock, tokenUse } = deps;
  const adminHash = Buffer.from(deps.adminTokenHash, 'hex');
  /** By token. Holds no wrong guesses, and nothing from before the last revocation. */
  const hashed = new Map<string, HashedToken>();
  const guesses = buckets(GUESSES, ADDRESSES_MAX, clock);
  const turns = lookupTurns();
  /** In the order of the last lookup. */
  const cached = new Map<string, CachedToken>();
  /** Incremented by each revocation, so that the result of a lookup that began before it is not cached. */
  let epoch = 0;

  const find = async (hash: string): Promise<TokenRecord | undefined> => {
    const epochBefore = epoch;
    const record = await agents.findToken(hash);
    cached.delete(hash);
    if (record === undefined || isExpired(record, clock.nowMs())) return undefined;
    cached.set(hash, { record, atMs: epoch === epochBefore ? clock.monotonicMs() : -Infinity });
    dropOldest(cached, CACHED_TOKENS_MAX);
    return record;
  };

  const principal = (hash: string, record: TokenRecord): Principal => {
    tokenUse.note(record.id);
    return {
      id: record.id,
      submitterId: submitterId(record),
      name: record.name,
      role: record.role,
      agentId: record.agentId,
      isStillValid: async () => {
        const now = await agents.findToken(hash);
        return now !== undefined && !isExpired(now, clock.nowMs());
      },
    };
  };

  const lookUp = async <T>(address: string, search: () => Promise<T | undefined>): Promise<Read<T | undefined>> => {
    const group = addressGroup(address);
    const turn = guesses.waitMs(group) > 0 ? null : turns.enter(group);
    const leave = await turn;
    try {
      // Checked again after the wait: the lookups before this one may have used up the guesses.
      const waitMs = guesses.waitMs(group);
      if (leave === null || waitMs > 0)
        return refused(tooMany('Too many wrong tokens or secrets from this address.', waitMs || TURN_WAIT_MS));
      const found = await search();
      if (found === undefined) {
        guesses.take(group);
        onGuess(address);
      }
      return read(found);
    } finally {
      leave?.();
    }
  };

  const isAdmin = (hash: string): boolean => {
    const given = Buffer.from(hash, 'hex');
    return given.length === adminHash.length && timingSafeEqual(given, adminHash);
  };

  /** The owner of the token with this hash, if it was found less than `ageMs` ago. */
  const foundWithin = (ageMs: number, hash: string): Principal | null => {
    const known = cached.get(hash);
    const isFresh = known !== undefined && clock.monotonicMs() - known.atMs < ageMs && !isExpired(known.record, clock.nowMs());
    return isFresh ? principal(hash, known.record) : null;
  };

  /** The owner of the token with this hash, if it need not be looked up. */
  const cachedOwnerOf = (hash: string): Principal | null =>
    foundWithin(CACHED_MS, hash) ?? (!cached.has(hash) && isAdmin(hash) ? ADMIN : null);

  const lookUpOwner = async (hash: string, address: string): Promise<Read<Principal>> => {
    const found = cached.has(hash) ? read(await find(hash)) : await lookUp(address, () => find(hash));
    if (found.kind === 'refused') return found;
    return found.value === undefined ? refused(unauthorized(WRONG_TOKEN)) : read(principal(hash, found.value));
  };

  const lookUpInTime = async (hash: string, address: string): Promise<Read<Principal>> => {
    const lookup = lookUpOwner(hash, address);
    try {
      if (await within(clock, LOOKUP_MS, lookup)) return await lookup;
    } catch (thrown) {
      if (!isStoreFailure(thrown)) throw thrown;
    }
    const owner = foundWithin(OLD_TOKEN_MS, hash);
    return owner === null ? lookup : read(owner);
  };

  return {
    lookUp,
    invalidate() {
      epoch += 1;
      hashed.clear();
      for (const [hash, { record }] of cached) cached.set(hash, { record, atMs: -Infinity });
    },
    authenticate(authorization, address, mayBeOld = false) {
      const token = bearerToken(authorization);
      if (token === undefined) return refused(unauthorized(NO_TOKEN));
      if (token.length > TOKEN_CHARACTERS_MAX) return refused(unauthorized(WRONG_TOKEN));
      const known = hashed.get(token);
      if (known?.isAdmin === true) return read(ADMIN);
      const hash = known?.hash ?? digest.sha256(token);
      const owner = cachedOwnerOf(hash);
      if (owner === null) return mayBeOld ? lookUpInTime(hash, address) : lookUpOwner(hash, address);
      if (known === undefined) {
        hashed.set(token, { hash, isAdmin: owner === ADMIN });
        dropOldest(hashed, HASHED_TOKENS_MAX);
      }
      return read(owner);
    },
    async resume(session, address) {
      const owner = cachedOwnerOf(session.tokenHash);
      const known = owner === null ? await lookUpOwner(session.tokenHash, address) : read(owner);
      if (known.kind === 'refused') return known;
      const { isStillValid } = known.value;
      const isOpen = (): boolean => clock.nowMs() < session.expiresAtMs;
      return read({ ...known.value, isStillValid: async () => isOpen() && (await isStillValid()) });
    },
  };
}

/** Removes the entry that was set first if there are more than `max`. */
function dropOldest(map: Map<string, unknown>, max: number): void {
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

const NO_TOKEN = 'This route requires the header "Authorization: Bearer TOKEN"; the request has no such header.';
export const WRONG_TOKEN = 'This token is not valid: it is mistyped, revoked or expired.';
const unauthorized = (message: string) => refusal('unauthorized', message, { headers: { 'www-authenticate': 'Bearer realm="agentcom"' } });
