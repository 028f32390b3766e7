/** The frame around every page: who is signed in, where to go, whether what is shown is up to date. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { canAdminister, canSubmit, canView, HubError, identity, readIdentity, role, signOut } from './hub/hub-requests.ts';
import { liveState, POLLED_MS } from './hub/live-events.ts';
import { goTo, href, place } from './hub/routing.ts';
import { tasksNamed } from './hub/task-actions.ts';
import { Login } from './pages/login.tsx';
import { Pages } from './pages/page-table.tsx';
import { attempt, Messages, say } from './parts/messages.tsx';
import { Modal } from './parts/modal.tsx';
import { durationText, nowMs } from './parts/moments.tsx';
import { Loading } from './parts/notices.tsx';
import { chooseTheme, isDark } from './parts/theme.ts';
import { LineText } from './parts/untrusted-text.tsx';
import { SHORTCUTS, useKeys } from './parts/use-keys.ts';

const RETRY_MS = 2_000;

export function App(): JSX.Element {
  const [failure, setFailure] = useState<HubError | null>(null);
  const user = identity.value;
  const isUnknown = user === 'unknown';
  useEffect(() => {
    if (!isUnknown) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tryNow = (): void => {
      readIdentity().catch((thrown: unknown) => {
        setFailure(thrown instanceof HubError ? thrown : new HubError(0, 'failed', String(thrown)));
        timer = setTimeout(tryNow, RETRY_MS);
      });
    };
    tryNow();
    return () => clearTimeout(timer);
  }, [isUnknown]);
  if (isUnknown) return failure === null ? <Loading /> : <p class="notice is-bad">{failure.message} Trying again…</p>;
  return (
    <>
      {/* What one user has read is not shown to the next. */}
      {user === null ? <Login /> : <Shell key={`${user.id} ${user.role}`} />}
      <Messages />
    </>
  );
}

interface NavItem {
  readonly path: readonly string[];
  readonly word: string;
  readonly shown: () => boolean;
}
const NAV: readonly NavItem[] = [
  { path: [], word: 'Overview', shown: canView },
  { path: ['tasks'], word: 'Tasks', shown: () => true },
  { path: ['agents'], word: 'Agents', shown: canView },
  { path: ['dead-letters'], word: 'Dead letters', shown: () => true },
  { path: ['submit'], word: 'Submit', shown: canSubmit },
  { path: ['tokens'], word: 'Tokens', shown: canAdminister },
  { path: ['audit'], word: 'Audit', shown: canAdminister },
];

function Shell(): JSX.Element {
  const [helpIsOpen, setHelp] = useState(false);
  useKeys({
    'g o': () => goTo([]),
    'g t': () => goTo(['tasks']),
    'g a': () => goTo(['agents']),
    'g d': () => goTo(['dead-letters']),
    'g k': () => goTo(['tokens']),
    'g l': () => goTo(['audit']),
    n: () => goTo(['submit']),
    t: () => chooseTheme(isDark.value ? 'light' : 'dark'),
    '?': () => setHelp(true),
    '/': () => document.getElementById('find-task')?.focus(),
  });
  const here = place.value.path[0];
  return (
    <div class="shell">
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('main')?.focus();
        }}
      >
        Skip to the page
      </a>
      <header class="top">
        <a class="brand" href={href([])}>
          <img src="/dashboard/icon.svg" alt="" width="22" height="22" />
          AgentCom
        </a>
        <nav aria-label="Pages">
          {NAV.filter(({ shown }) => shown()).map(({ path, word }) => (
            <a key={word} href={href(path)} aria-current={here === path[0] ? 'page' : undefined}>
              {word}
            </a>
          ))}
        </nav>
        <div class="top-end">
          <FindTask />
          <LiveBadge />
          <button
            type="button"
            class="quiet"
            aria-label={isDark.value ? 'Switch to light' : 'Switch to dark'}
            title="Dark or light (t)"
            onClick={() => chooseTheme(isDark.value ? 'light' : 'dark')}
          >
            {isDark.value ? '☀' : '☾'}
          </button>
          <button type="button" class="quiet" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => setHelp(true)}>
            ?
          </button>
          <button type="button" class="quiet" title={`Signed in as ${role() ?? ''}`} onClick={() => void attempt('Signed out.', signOut)}>
            Sign out
          </button>
        </div>
      </header>
      <LiveBanner />
      <main id="main" tabIndex={-1}>
        <Pages />
      </main>
      {helpIsOpen && (
        <Modal title="Keyboard shortcuts" onClose={() => setHelp(false)}>
          <dl class="shortcuts">
            {SHORTCUTS.map(([keys, what]) => (
              <div key={keys}>
                <dt>
                  {keys.split(' ').map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </Modal>
      )}
    </div>
  );
}

/** Opens the task with this ID, or with an ID that begins with these digits. Resolves to whether a page was opened. */
async function findTask(wanted: string): Promise<boolean> {
  let ids: readonly string[];
  try {
    ids = await tasksNamed(wanted);
  } catch (thrown) {
    say(thrown instanceof Error ? thrown.message : String(thrown), 'bad');
    return false;
  }
  if (ids.length > 1) {
    say(`More than one task has an ID that begins with ${wanted}. Add digits.`, 'bad');
    return false;
  }
  goTo(['tasks', ids[0] ?? wanted]);
  return true;
}

function FindTask(): JSX.Element {
  const [text, setText] = useState('');
  return (
    <form
      class="find"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const wanted = text.trim();
        if (wanted === '') return;
        void findTask(wanted).then((isShown) => {
          if (isShown) setText('');
        });
      }}
    >
      <input
        id="find-task"
        type="search"
        aria-label="Find a task by its ID, or the first digits of it"
        placeholder="Task ID…"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </form>
  );
}

const POLLED = `every ${POLLED_MS / 1_000} s`;
const LIVE_LABELS = {
  connecting: 'connecting',
  live: 'live',
  behind: 'behind',
  cut: 'cut off',
  refused: POLLED,
  off: POLLED,
} as const;
const LIVE_MEANING = {
  connecting: 'Connecting to the hub',
  live: 'Every change is shown as it happens',
  behind: 'Receiving older events; what you see may be out of date',
  cut: 'No connection to the hub; what you see is out of date',
  refused: `The hub has no event stream left for this page, which refreshes ${POLLED}`,
  off: `Your role cannot follow all events; pages refresh ${POLLED}`,
} as const;

function LiveBadge(): JSX.Element {
  const { kind } = liveState.value;
  return (
    <span class={`live is-${kind}`} title={LIVE_MEANING[kind]} role="status">
      <span class="live-dot" aria-hidden="true" />
      {LIVE_LABELS[kind]}
    </span>
  );
}

/** How far behind before it is worth a banner, milliseconds. */
const BANNER_MS = 10_000;

function LiveBanner(): JSX.Element | null {
  const state = liveState.value;
  if (state.kind === 'cut') {
    const forMs = Math.max(0, nowMs.value - state.sinceMs);
    return (
      <p class="banner is-bad">
        {/* Without what changes each second: a screen reader reads an alert aloud whenever its text changes. */}
        <span role="alert">No connection to the hub: what you see is out of date.</span> Reconnecting for {durationText(forMs)}…{' '}
        <span class="muted">{state.why}</span>
      </p>
    );
  }
  if (state.kind === 'refused') {
    return (
      <p class="banner">
        <span role="alert">The hub has no event stream left for this page, which refreshes {POLLED} until one is free.</span>{' '}
        <span class="muted">
          <LineText text={state.why} />
        </span>
      </p>
    );
  }
  if (state.kind === 'behind' && state.byMs > BANNER_MS) {
    return <p class="banner">Catching up: the events that arrive are {durationText(state.byMs)} old.</p>;
  }
  return null;
}
