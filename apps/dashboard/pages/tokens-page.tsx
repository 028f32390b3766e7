/** The tokens: whose each is, what it may do, when it was last used; creating and revoking them. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Page, TokenJson } from '../../client/types.ts';
import { get, identity, sendRequest } from '../hub/hub-requests.ts';
import { href, place } from '../hub/routing.ts';
import { useLive } from '../hub/use-live.ts';
import { attempt } from '../parts/messages.tsx';
import { Modal } from '../parts/modal.tsx';
import { Ago, nowMs } from '../parts/moments.tsx';
import { Empty, ErrorNotice, Loading } from '../parts/notices.tsx';
import { Pager } from '../parts/pager.tsx';
import { LineText } from '../parts/untrusted-text.tsx';
import { NewToken } from './new-token.tsx';

const PAGE_ROWS = 100;
const NAME_CHARACTERS = 128;
const RIGHTS_CHARACTERS = 300;

type State = 'live' | 'rotated' | 'expired' | 'revoked';
const BADGES = { live: 'is-completed', rotated: 'is-blocked', expired: 'is-cancelled', revoked: 'is-cancelled' } as const;

/** In the words of the command line. */
function stateOf(token: TokenJson): State {
  if (typeof token.revoked_at === 'number') return 'revoked';
  if (typeof token.expires_at === 'number' && token.expires_at <= nowMs.value) return 'expired';
  return typeof token.replaced_by === 'string' ? 'rotated' : 'live';
}

const worksStill = (state: State): boolean => state === 'live' || state === 'rotated';
const agentOf = ({ agent_id: id }: TokenJson): string | null => (typeof id === 'string' ? id : null);
const nameOf = (token: TokenJson): string => agentOf(token) ?? (typeof token['name'] === 'string' ? token['name'] : token.id);
const isOwn = ({ id }: TokenJson): boolean => identity.value !== null && identity.value !== 'unknown' && identity.value.id === id;

export function TokensPage(): JSX.Element {
  const [isCreating, setIsCreating] = useState(false);
  const cursor = place.value.query.get('cursor');
  const more = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
  const { data, error, reload } = useLive(
    `tokens ${cursor ?? ''}`,
    (stop) => get<Page<'tokens', TokenJson>>(`/admin/tokens?limit=${PAGE_ROWS}${more}`, stop),
    // No event is about tokens.
    { concerns: () => false },
  );
  const next = data?.next_cursor ?? null;
  return (
    <>
      <div class="page-head">
        <h1>Tokens</h1>
        <div class="token-actions">
          <button type="button" class="small" onClick={reload}>
            Read again
          </button>
          <button type="button" class="primary" onClick={() => setIsCreating(true)}>
            Create a token…
          </button>
        </div>
      </div>
      <ErrorNotice error={error} onRetry={reload} />
      {data === undefined && error === null && <Loading />}
      {data?.tokens.length === 0 && (
        <Empty title={cursor === null ? 'No token has been created yet.' : 'There are no older tokens.'}>
          The admin token of the hub’s config is not listed: change it there.
        </Empty>
      )}
      <ul class="token-list" aria-label="Tokens, newest first">
        {(data?.tokens ?? []).map((token) => (
          <Token key={token.id} token={token} onDone={reload} />
        ))}
      </ul>
      <Pager
        label="Pages of the tokens"
        links={[
          cursor === null ? null : ['Newest tokens', href(['tokens'])],
          next === null ? null : ['Older tokens', href(['tokens'], { cursor: next })],
        ]}
      />
      {isCreating && <NewToken onSent={reload} onClose={() => setIsCreating(false)} />}
    </>
  );
}

interface TokenProps {
  readonly token: TokenJson;
  readonly onDone: () => void;
}

function Token({ token, onDone }: TokenProps): JSX.Element {
  const [isConfirming, setIsConfirming] = useState(false);
  const state = stateOf(token);
  const revoke = (): void => {
    setIsConfirming(false);
    void attempt('The token is revoked.', () => sendRequest('DELETE', `/admin/tokens/${encodeURIComponent(token.id)}`)).then(onDone);
  };
  return (
    <li class="token-row" data-token={token.id}>
      <div class="token-head">
        <h2 class="token-name">
          <LineText text={nameOf(token)} max={NAME_CHARACTERS} />
        </h2>
        <span class={`badge ${BADGES[state]}`}>{state}</span>
        {isOwn(token) && <span class="muted">You are signed in with it.</span>}
        {worksStill(state) && (
          <button type="button" class="small" onClick={() => setIsConfirming(true)}>
            Revoke…
          </button>
        )}
      </div>
      <dl class="token-facts">
        {factsOf(token).map(([term, value]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {isConfirming && (
        <Modal title="Revoke this token?" onClose={() => setIsConfirming(false)}>
          <p>
            The token of <LineText text={nameOf(token)} max={NAME_CHARACTERS} /> stops working now, and what is connected with it is cut
            off. This cannot be undone.
          </p>
          {agentOf(token) !== null && <p>If its sidecar has no other token, the tasks that it runs are reclaimed.</p>}
          {isOwn(token) && <p class="notice">You are signed in with it, and will be signed out.</p>}
          <div class="modal-end">
            <button type="button" class="danger" onClick={revoke}>
              Revoke the token
            </button>
          </div>
        </Modal>
      )}
    </li>
  );
}

function factsOf(token: TokenJson): readonly (readonly [string, JSX.Element])[] {
  const { revoked_at: revokedAtMs, expires_at: expiresAtMs, replaced_by: replacedBy } = token;
  const agent = agentOf(token);
  const createdAtMs = token['created_at'];
  return [
    ['Role', <LineText text={token.role} />],
    ...(agent === null
      ? []
      : ([
          [
            'Agent',
            <a href={href(['agents', agent])}>
              <LineText text={agent} />
            </a>,
          ],
          ['At most', <LineText text={rightsOf(token)} max={RIGHTS_CHARACTERS} />],
        ] as const)),
    // Viewers and agents submit none.
    ...(agent === null && token.role !== 'viewer'
      ? [['Tasks', <a href={href(['tasks'], { submitted_by: token.submits_as ?? token.id })}>Tasks it submitted</a>] as const]
      : []),
    ['Created', <Ago at={typeof createdAtMs === 'number' ? createdAtMs : null} />],
    ['Last used', <Ago at={token.last_used_at} />],
    ...(typeof revokedAtMs === 'number' ? [['Revoked', <Ago at={revokedAtMs} />] as const] : []),
    ...(typeof expiresAtMs === 'number' ? [[expiresAtMs <= nowMs.value ? 'Expired' : 'Expires', <Ago at={expiresAtMs} />] as const] : []),
    ...(typeof replacedBy === 'string'
      ? [
          [
            'Replaced by',
            <span class="mono">
              <LineText text={replacedBy} />
            </span>,
          ] as const,
        ]
      : []),
    [
      'ID',
      <span class="mono">
        <LineText text={token.id} />
      </span>,
    ],
    [
      'Begins with',
      <span class="mono">
        <LineText text={typeof token['prefix'] === 'string' ? token['prefix'] : '–'} />
      </span>,
    ],
  ];
}

/** What the agent's sidecar may claim to have. */
function rightsOf({ capabilities, max_slots: slots }: TokenJson): string {
  const can = Array.isArray(capabilities) ? (capabilities.length === 0 ? 'no capabilities' : capabilities.join(', ')) : 'any capabilities';
  return typeof slots === 'number' ? `${can}; ${slots} ${slots === 1 ? 'slot' : 'slots'}` : can;
}
