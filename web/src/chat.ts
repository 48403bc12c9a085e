import { mount } from 'svelte';
import './lib/theme.css';
import ChatPage from './views/chat/ChatPage.svelte';

const target = document.getElementById('app');
if (target) mount(ChatPage, { target });
