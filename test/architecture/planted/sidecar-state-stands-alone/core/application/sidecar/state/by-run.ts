export { followRuns } from '../run/runs.ts';
