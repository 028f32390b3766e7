export { connect } from '../link/link.ts';
