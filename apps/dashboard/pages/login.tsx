/** Signing in: a token is exchanged for a session. The token itself is not kept in the browser. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { signedOutBecause, signIn } from '../hub/hub-requests.ts';

export function Login(): JSX.Element {
  const [token, setToken] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await signIn(token);
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : String(thrown));
      setBusy(false);
    }
  };
  return (
    <main class="login" id="main">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <img src="/dashboard/icon.svg" alt="" width="40" height="40" />
        <h1>Sign in to AgentCom</h1>
        {signedOutBecause.value !== null && error === null && <p class="notice">{signedOutBecause.value}</p>}
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          required
          autofocus
          value={token}
          aria-describedby="token-help"
          aria-invalid={error !== null}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        {error !== null && (
          <p class="notice is-bad" role="alert">
            {error}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy || token.trim() === ''}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        <div id="token-help" class="help">
          <p>
            The admin token is in <code>admin-token</code> in the hub’s data folder. To create one for a person, run this on the hub’s
            machine:
          </p>
          <pre tabIndex={0}>agentcom tokens create --name YOUR_NAME --role operator</pre>
        </div>
      </form>
    </main>
  );
}
