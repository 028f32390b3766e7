/** Routes for tokens, enrollment secrets and the enrollment of agents. A token is shown once, when it is created. */
import { isAgentId, type AgentId } from '../../../core/domain/ids.ts';
import { ENROL_SECRET_MS, isExpired, submitterId, type TokenRecord } from '../../../core/ports/agent-store.ts';
import { bodyReader } from '../../../core/protocol/body-reader.ts';
import { enrolHubProof, isSealedSecret, sealedEnrolToken } from '../../../core/protocol/enrol-proof.ts';
import {
  emptySchema,
  OVERLAP_MS_DEFAULT,
  registerHelloSchema,
  registerProvedSchema,
  registerSchema,
  rotateSchema,
  tokenSchema,
  TOKEN_SLOTS_DEFAULT,
  type TokenBody,
} from '../../../core/protocol/http-bodies.ts';
import { TOKEN_PREFIX_CHARACTERS } from '../../../core/application/logged-token.ts';
import { pageSchema } from '../../../core/protocol/http-queries.ts';
import type { FieldError } from '../../../core/protocol/field-errors.ts';
import type { AuditDraft } from '../../../core/domain/audit/audit-entry.ts';
import { TOKEN_HINT_DIGITS } from '../../../core/protocol/proof.ts';
import { auditDraft, type AuditedAct } from '../audit-source.ts';
import type { Authenticator, Principal } from '../authenticate.ts';
import type { HttpApiDeps } from '../deps.ts';
import { badCursor, pageLimit, queryReader } from '../query.ts';
import { created, invalid, ok, refusal, type Reply } from '../reply.ts';
import type { ApiRequest, Handlers } from '../request.ts';

const TOKEN_ID = /^tok-[0-9a-f]{32}$/;

type TokenHandlers = Pick<Handlers, 'register' | 'addEnrolSecret' | 'addToken' | 'listTokens' | 'rotateToken' | 'revokeTokens'>;

export function tokenHandlers(deps: HttpApiDeps, auth: Authenticator): TokenHandlers {
  const { agents, ids, digest, clock, limits, log } = deps;
  const readRegister = bodyReader(registerSchema);
  const readHello = bodyReader(registerHelloSchema);
  const readProved = bodyReader(registerProvedSchema);
  const readToken = bodyReader(tokenSchema);
  const readRotate = bodyReader(rotateSchema);
  const readEmpty = bodyReader(emptySchema);
  const readPage = queryReader(pageSchema);

  /** Creates a token and its record, which has the hash instead of the token. */
  const mint = (fields: TokenRights, expiresInMs?: number) => {
    const token = ids.secret();
    const createdAtMs = clock.nowMs();
    const record: TokenRecord = {
      name: fields.name,
      role: fields.role,
      agentId: fields.agentId,
      capabilities: fields.capabilities,
      maxSlots: fields.maxSlots,
      id: ids.random('tok'),
      hash: digest.sha256(token),
      prefix: token.slice(0, TOKEN_PREFIX_CHARACTERS),
      createdAtMs,
      revokedAtMs: null,
      expiresAtMs: expiresInMs === undefined ? null : createdAtMs + expiresInMs,
      lastUsedAtMs: null,
      replacedBy: null,
      submitsAs: fields.submitsAs,
    };
    return { token, record };
  };

  /** Accepts three bodies: the secret itself; or, from a sidecar that first verifies the hub, `hello` and then `proved`. */
  const register = async (request: ApiRequest): Promise<Reply> => {
    if (hasField(request.json, 'sealed_secret')) return registerProved(request);
    if (hasField(request.json, 'secret_hint')) return answerHello(request);
    const body = readRegister(request.json);
    if (body.kind === 'invalid') return invalid(body.errors);
    const hash = digest.sha256(body.value.secret);
    return enrol(request, body.value.agent_id, {
      keyOf: () => Promise.resolve(hash),
      tokenFields: (token) => ({ token }),
    });
  };

  /**
   * Proves that this hub knows the secret. For an unknown secret the response looks the same, so that it does not reveal which ones exist.
   */
  const answerHello = async (request: ApiRequest): Promise<Reply> => {
    const body = readHello(request.json);
    if (body.kind === 'invalid') return invalid(body.errors);
    const { agent_id: agentId, secret_hint: tokenHint, nonce } = body.value;
    const unknownKey = ids.secret();
    const found = await auth.lookUp(request.address, () => agents.findEnrolSecret(tokenHint, clock.nowMs()));
    if (found.kind === 'refused') return found.reply;
    const hubNonce = ids.secret();
    const proof = enrolHubProof(found.value ?? unknownKey, { agentId, tokenHint, nonce, hubNonce }, digest.hmac);
    return ok({ hub_nonce: hubNonce, proof });
  };

  const registerProved = async (request: ApiRequest): Promise<Reply> => {
    const body = readProved(request.json);
    if (body.kind === 'invalid') return invalid(body.errors);
    const { agent_id: agentId, secret_hint: tokenHint, nonce, hub_nonce: hubNonce, sealed_secret: secret } = body.value;
    const exchange = { agentId, tokenHint, nonce, hubNonce };
    return enrol(request, agentId, {
      keyOf: async () => {
        const key = await agents.findEnrolSecret(tokenHint, clock.nowMs());
        return key !== undefined && isSealedSecret(secret, key, exchange, digest) ? key : undefined;
      },
      tokenFields: (token, key) => sealedEnrolToken(token, key, exchange, digest.hmac),
    });
  };

  /** `keyOf`: resolves to the hash of the given secret. `tokenFields`: the fields of the response with the token. */
  const enrol = async (request: ApiRequest, agentId: AgentId, { keyOf, tokenFields }: Enrolling): Promise<Reply> => {
    // The secret is checked first, so that callers without one cannot learn which agents exist. It is used up even if
    // the agent ID is taken.
    const found = await auth.lookUp(request.address, async () => {
      const key = await keyOf();
      if (key === undefined) return undefined;
      const nowMs = clock.nowMs();
      const used = { act: 'enrol_secret.use', object: hintOf(key), details: { agent_id: agentId } } as const;
      return (await agents.takeEnrolSecret(key, nowMs, auditDraft(request, null, nowMs, used))) ? key : undefined;
    });
    if (found.kind === 'refused') return found.reply;
    if (found.value === undefined) {
      return refusal('invalid_secret', 'The enrollment secret is wrong, used or over 15 minutes old; get a new one.');
    }
    deps.onEnrolSecretUsed();
    const { token, record } = mint({
      name: agentId,
      role: 'agent',
      agentId,
      capabilities: null,
      maxSlots: TOKEN_SLOTS_DEFAULT,
      submitsAs: null,
    });
    const audit = auditDraft(request, null, record.createdAtMs, tokenAct('token.create', record));
    if ((await agents.addToken(record, { unlessTaken: true, audit })) === 'taken') {
      const message = `Agent ${agentId} already has a token; revoke it first, or choose another ID. The code is used up: run "agentcom invite" again.`;
      return refusal('agent_taken', message);
    }
    log.info('An agent enrolled.', { agent_id: agentId, token_id: record.id });
    const urls = deps.urls();
    return created({ agent_id: agentId, ...tokenFields(token, found.value), hub_ws_url: urls.ws, hub_api_url: urls.api });
  };

  const addEnrolSecret = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const body = readEmpty(request.json);
    if (body.kind === 'invalid') return invalid(body.errors);
    const secret = ids.secret();
    const nowMs = clock.nowMs();
    const expiresAtMs = nowMs + ENROL_SECRET_MS;
    const hash = digest.sha256(secret);
    const made = { act: 'enrol_secret.create', object: hintOf(hash), details: { expires_at: expiresAtMs } } as const;
    await agents.addEnrolSecret(hash, expiresAtMs, auditDraft(request, by, nowMs, made));
    return created({
      secret,
      expires_at: expiresAtMs,
      fingerprint: deps.certificate?.joinFingerprint() ?? null,
      loopback_only: deps.isLoopbackOnly,
    });
  };

  const addToken = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const body = readToken(request.json);
    if (hasField(request.json, 'role') && request.json.role === 'agent') return invalid([AGENT_ROLE]);
    const errors = body.kind === 'invalid' ? body.errors : tokenErrors(body.value, limits.slotsPerAgent);
    if (body.kind === 'invalid' || errors.length > 0) return invalid(errors);
    const { agent_id: agentId = null, name, role = 'agent', capabilities = null, max_slots: maxSlots } = body.value;
    const { token, record } = mint(
      {
        name: name ?? agentId ?? role,
        role,
        agentId,
        capabilities,
        maxSlots: agentId === null ? null : (maxSlots ?? Math.min(TOKEN_SLOTS_DEFAULT, limits.slotsPerAgent)),
        submitsAs: null,
      },
      body.value.expires_in_ms,
    );
    // An agent may have several tokens, so that one can be replaced while it works. Other tokens are distinguished by name.
    const audit = auditDraft(request, by, record.createdAtMs, tokenAct('token.create', record));
    if ((await agents.addToken(record, { unlessTaken: agentId === null, audit })) === 'taken') {
      return refusal(
        'name_taken',
        `There is already a live ${role} token named ${JSON.stringify(record.name)}. Choose another name, or revoke that one first: \`agentcom tokens list\` lists it.`,
      );
    }
    log.info('A token was created.', { token_id: record.id, role: record.role, agent_id: record.agentId });
    return created({ token, ...tokenJson(record) });
  };

  const listTokens = async (request: ApiRequest): Promise<Reply> => {
    const query = readPage(request.query());
    if (query.kind === 'refused') return query.reply;
    const limit = pageLimit(query.value.limit, limits.page);
    if (limit.kind === 'refused') return limit.reply;
    const { cursor } = query.value;
    if (cursor !== undefined && !TOKEN_ID.test(cursor)) return badCursor;
    const rows = await agents.listTokens({ after: cursor, limit: limit.value + 1 });
    const shown = rows.slice(0, limit.value);
    return ok({ tokens: shown.map(listedJson), next_cursor: rows.length > shown.length ? (shown.at(-1)?.id ?? null) : null });
  };

  /** Includes a last use that this hub has not written yet. */
  const listedJson = (token: TokenRecord) => {
    const usedAtMs = deps.tokenUse.lastUsedAtMs(token.id);
    return tokenJson(usedAtMs === null || usedAtMs < (token.lastUsedAtMs ?? 0) ? token : { ...token, lastUsedAtMs: usedAtMs });
  };

  const rotateToken = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const body = readRotate(request.json);
    if (body.kind === 'invalid') return invalid(body.errors);
    const id = request.params['id'] ?? '';
    const old = TOKEN_ID.test(id) ? await agents.getToken(id) : undefined;
    if (old === undefined)
      return refusal('unknown_token', `There is no token with the ID ${JSON.stringify(id)}. \`agentcom tokens list\` lists them.`);
    const { token, record } = mint({ ...old, submitsAs: submitterId(old) }, lifetimeMs(old));
    const overlapMs = body.value.overlap_ms ?? OVERLAP_MS_DEFAULT;
    const act = {
      act: 'token.rotate',
      object: id,
      details: { ...tokenDetails(record), replaced_by: record.id, overlap_ms: overlapMs },
    } as const;
    const audit = auditDraft(request, by, record.createdAtMs, act);
    const rotated = await agents.rotateToken(id, record, record.createdAtMs + overlapMs, audit);
    if (rotated === undefined) return notRotated((await agents.getToken(id)) ?? old, clock.nowMs());
    auth.invalidate();
    deps.endTokens([rotated]);
    log.info('A token was rotated.', { token_id: id, replaced_by: record.id, expires_at: rotated.expiresAtMs });
    return created({ token, ...tokenJson(record), rotated: listedJson(rotated) });
  };

  const revokeTokens = async (request: ApiRequest, by: Principal): Promise<Reply> => {
    const id = request.params['id'] ?? '';
    const nowMs = clock.nowMs();
    const audit = (token: TokenRecord): AuditDraft => auditDraft(request, by, nowMs, tokenAct('token.revoke', token));
    let revoked: readonly TokenRecord[] = TOKEN_ID.test(id) ? await agents.revokeTokens({ id }, nowMs, audit) : [];
    if (revoked.length === 0 && isAgentId(id)) revoked = await agents.revokeTokens({ agentId: id }, nowMs, audit);
    if (revoked.length === 0)
      return refusal('unknown_token', 'No live token has this ID or belongs to this agent. `agentcom tokens list` lists them.');
    auth.invalidate();
    deps.endTokens(revoked);
    log.info('Tokens were revoked.', { token_ids: revoked.map((token) => token.id) });
    return ok({ revoked: revoked.map((token) => token.id) });
  };

  return { register, addEnrolSecret, addToken, listTokens, rotateToken, revokeTokens };
}

type TokenRights = Pick<TokenRecord, 'name' | 'role' | 'agentId' | 'capabilities' | 'maxSlots' | 'submitsAs'>;

/** The lifetime that the token was created with; undefined if unlimited. Wrong for a rotated token: rotation has shortened its lifetime. */
const lifetimeMs = ({ createdAtMs, expiresAtMs }: TokenRecord): number | undefined =>
  expiresAtMs === null ? undefined : expiresAtMs - createdAtMs;

function notRotated({ id, agentId, revokedAtMs, replacedBy, ...token }: TokenRecord, nowMs: number): Reply {
  const another = `create another one: POST /admin/tokens${agentId === null ? '' : ` with agent_id ${agentId}`}`;
  if (revokedAtMs !== null) return refusal('invalid_state', `Token ${id} was revoked. Instead of rotating it, ${another}.`);
  if (replacedBy !== null)
    return refusal('invalid_state', `Token ${id} was rotated before, and ${replacedBy} replaces it. Rotate that one.`);
  if (isExpired(token, nowMs)) return refusal('invalid_state', `Token ${id} has expired. Instead of rotating it, ${another}.`);
  return refusal('invalid_state', `Token ${id} was changed at the same time. Try again.`);
}

interface Enrolling {
  readonly keyOf: () => Promise<string | undefined>;
  readonly tokenFields: (token: string, key: string) => object;
}

/** The role of agents is not one that can be asked for. */
const AGENT_ROLE: FieldError = {
  field: 'role',
  error: 'contradiction',
  detail: "must be omitted for an agent's token, which needs agent_id",
};

const hasField = <Name extends string>(json: unknown, name: Name): json is Readonly<Record<Name, unknown>> =>
  typeof json === 'object' && json !== null && Object.hasOwn(json, name);

/** A token belongs to an agent, or has a name and a role. */
function tokenErrors(body: TokenBody, slotsMax: number): readonly FieldError[] {
  const error = (field: string, detail: string): FieldError[] => [{ field, error: 'contradiction', detail }];
  if (body.agent_id !== undefined) {
    if (body.role !== undefined) return error('role', 'must be omitted with agent_id');
    if ((body.max_slots ?? 0) > slotsMax) return error('max_slots', `must be at most ${slotsMax}`);
    return [];
  }
  if (body.role === undefined) return [{ field: 'role', error: 'required', detail: 'is required without agent_id' }];
  if (body.name === undefined) return [{ field: 'name', error: 'required', detail: 'is required without agent_id' }];
  if (body.capabilities !== undefined) return error('capabilities', 'is only for tokens of agents');
  if (body.max_slots !== undefined) return error('max_slots', 'is only for tokens of agents');
  return [];
}

/** Identifies a secret without revealing it, as on the wire. */
const hintOf = (hash: string): string => hash.slice(0, TOKEN_HINT_DIGITS);

const tokenAct = (act: 'token.create' | 'token.revoke', token: TokenRecord): AuditedAct => ({
  act,
  object: token.id,
  details: tokenDetails(token),
});

const tokenDetails = ({ name, role, agentId, expiresAtMs }: TokenRecord) => ({ name, role, agent_id: agentId, expires_at: expiresAtMs });

const tokenJson = (token: TokenRecord): Readonly<Record<string, unknown>> => ({
  id: token.id,
  name: token.name,
  role: token.role,
  agent_id: token.agentId,
  prefix: token.prefix,
  capabilities: token.capabilities,
  max_slots: token.maxSlots,
  created_at: token.createdAtMs,
  revoked_at: token.revokedAtMs,
  expires_at: token.expiresAtMs,
  last_used_at: token.lastUsedAtMs,
  replaced_by: token.replacedBy,
  submits_as: submitterId(token),
});
