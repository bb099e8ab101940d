# cmake -DFROM=folder -DTO=file.c -P embed.cmake
# dashboard.html with its style and scripts put in, as a C array: the program needs no files.
file(READ ${FROM}/dashboard.html page)
file(READ ${FROM}/dashboard.css style)
file(READ ${FROM}/charts.js charts)
file(READ ${FROM}/dashboard.js script)
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@CHARTS@" "${charts}" page "${page}")
string(REPLACE "@SCRIPT@" "${script}" page "${page}")
file(WRITE ${TO}.page "${page}")
file(READ ${TO}.page hex HEX)
file(REMOVE ${TO}.page)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)"
       "\\1\n" bytes "${bytes}")
file(WRITE ${TO} "/* made by embed.cmake */
#include \"http/inside.h\"

const unsigned char dashboard_html[] = {
${bytes}
};
const size_t dashboard_html_len = sizeof dashboard_html;
")
