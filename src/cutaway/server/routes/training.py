"""What the training screen asks."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
