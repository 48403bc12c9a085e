"""Noise turning into a picture, as a GIF file to keep."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from cutaway.base.files import slug
from cutaway.server.lab import TheLab
from cutaway.server.painters import OpenPainter
from cutaway.server.routes.chat import person
from cutaway.server.routes.paint_asked import GoneError, between_steps
from cutaway.server.routes.paint_look import OnePicture
from cutaway.server.streams import Writer

router = APIRouter()


@router.post("/gif", response_class=Response, responses={200: {"content": {"image/gif": {}}}})
async def gif(lab: TheLab, request: Request, asked: OnePicture) -> Response:
    """Return the way of a picture from noise as a GIF file, named after the prompt and the seed."""

    def work(writer: Writer) -> bytes:
        opened = lab.painters.open(asked.model)
        with opened.lock:
            try:
                return film(opened, asked, writer)
            except GoneError:
                return b""

    content = await lab.streams.start(work, person(request)).all(request)
    name = f"{slug(asked.prompt) or 'painting'}-seed-{asked.settings.seed + asked.index}.gif"
    return Response(content, media_type="image/gif", headers={"Content-Disposition": f'attachment; filename="{name}"'})


def film(opened: OpenPainter, asked: OnePicture, writer: Writer) -> bytes:
    """Paint a picture and return the file of its steps."""
    from cutaway.diffusion.paint import paint
    from cutaway.diffusion.picture_files import gif_bytes

    config, seeds = asked.settings.config(1), [asked.settings.seed + asked.index]
    give_way = between_steps(writer, opened)
    painted = paint(opened.painter, [asked.prompt], config, seeds, on_step=give_way, keep_frames=True)
    return gif_bytes(painted.frames)
