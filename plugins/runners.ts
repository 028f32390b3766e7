/** The wake runners of this package: `import { command } from 'agentcom/runners'`. */
export { command } from './command/command.ts';
export { claudeCode, type ClaudeCodeOptions } from './claude-code/claude-code.ts';
export { codex, type CodexOptions } from './codex/codex.ts';
export { gemini, type GeminiOptions } from './gemini/gemini.ts';
export { opencode, type OpencodeOptions } from './opencode/opencode.ts';
export { acp, type AcpOptions } from './acp/acp.ts';
export { webhook, type WebhookOptions } from './webhook/webhook.ts';
export { openclaw, type OpenclawOptions } from './openclaw/openclaw.ts';
export { openclawHook, type OpenclawHookOptions } from './webhook/openclaw-hook.ts';
