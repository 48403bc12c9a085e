"""What the microscope screen asks."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
